// Where a drill puts what it restores: a folder of its own, which goes with the drill. What a
// killed coordinator has left is removed by the next drill that looks at the same places; those
// that are in use are locked. Never in ckpt_root. Threads: blocks on the disk, so await it through
// net/offload.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/file.h"

namespace grove {

class DrillScratch {
 public:
  // In the first of `places` that takes it and has room for `bytes`. Those that are not there are
  // passed over.
  // Fails: exhausted (nowhere is so much room; says how much there is), or as the last place does.
  static Result<DrillScratch> create(std::vector<std::filesystem::path> const& places,
                                     std::uint64_t bytes);

  std::filesystem::path const& folder() const { return folder_; }

  // The folder and all that is in it. Call once, in the end.
  Result<void> remove();

 private:
  DrillScratch(std::filesystem::path folder, FileLock lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}
  static Result<DrillScratch> create_in(std::filesystem::path const& place);

  std::filesystem::path folder_;
  FileLock lock_;
};

// The folder that was asked for; else shards_root, the folder it is in, and the system's folder for
// temporary files.
// Fails: invalid (what was asked for is no absolute path of a folder, or lies in ckpt_root).
Result<std::vector<std::filesystem::path>> scratch_places(
    Config const& config, std::optional<std::filesystem::path> const& asked);

}  // namespace grove
