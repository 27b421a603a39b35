// The random id that a coordinator is known by to the workers: the one thing that it keeps on its
// disk, so that after a restart it is still the same and may delete at once (worker/deletion.h). It
// belongs to the config file; while another process has it, a second coordinator of the same config
// gets an id of its own, and the workers tell the two apart. Threads: any; blocks on the disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"

namespace grove {

class OwnId {
 public:
  // In `folder`, which is made, under the name of the config file. Where nothing can be kept the id
  // is a new one, and the log says why.
  static OwnId take(std::filesystem::path const& folder, std::filesystem::path const& config_path);

  // 32 hex digits.
  std::string const& text() const { return text_; }

 private:
  OwnId(std::string text, std::optional<FileLock> lock)
      : text_(std::move(text)), lock_(std::move(lock)) {}

  std::string text_;
  std::optional<FileLock> lock_;  // held for as long as the id is used
};

}  // namespace grove
