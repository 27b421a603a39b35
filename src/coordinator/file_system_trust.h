// Which file systems keep what they were told to keep: by their type and mount options
// (base/mount.h). A worker's "durable" is worth as much as its file system's. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grove {

struct FileSystemTrouble {
  std::string text;    // "is kept in memory …"
  std::string remedy;  // what to do about it
};

// Of "ext4 rw,relatime". None where nothing speaks against it, or nothing is known of it.
std::optional<FileSystemTrouble> trouble_with(std::string_view file_system);

}  // namespace grove
