// The random id that a coordinator is known by to the workers, kept on its disk, so that after a
// restart it is still the same and may delete at once (worker/deletion.h). It belongs to the config
// file; while another process has it, a second coordinator of the same config gets an id of its
// own, and the workers tell the two apart. What else a coordinator keeps lies beside it.
// Threads: any; blocks on the disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace grove {

class OwnId {
 public:
  // In `folder`, which is made, under the name of the config file. Where nothing can be kept the id
  // is a new one, and the log says why.
  static OwnId take(std::filesystem::path const& folder, std::filesystem::path const& config_path);

  // 32 hex digits.
  std::string const& text() const { return text_; }

  // Where to keep something else of this coordinator, under a name of its own. None: nothing can be
  // kept.
  std::optional<std::filesystem::path> file_beside(std::string_view name) const;

 private:
  struct Kept {
    std::filesystem::path path;  // of the id
    FileLock lock;               // held for as long as the id is used
  };
  OwnId(std::string text, std::optional<Kept> kept)
      : text_(std::move(text)), kept_(std::move(kept)) {}

  std::string text_;
  std::optional<Kept> kept_;
};

}  // namespace grove
