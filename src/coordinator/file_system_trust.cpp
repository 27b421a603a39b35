#include "coordinator/file_system_trust.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

namespace grove {
namespace {

using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<FileSystemTrouble> trouble_of_type(std::string_view type) {
  if (is_one_of(type, {"tmpfs", "ramfs", "devtmpfs", "rootfs"})) {
    return FileSystemTrouble{"is kept in memory and is gone when the machine starts again",
                             "put the data on a disk (grove worker --data)"};
  }
  if (is_one_of(type, {"overlay", "aufs", "unionfs", "fuse.fuse-overlayfs"})) {
    return FileSystemTrouble{
        "is a layer of a container, or of a system that forgets its changes: it goes with that",
        "put the data on a volume, or on a disk of its own (grove worker --data)"};
  }
  if (is_one_of(type, {"vfat", "msdos", "exfat", "fuse.exfat"})) {
    return FileSystemTrouble{"has no journal: a power cut may take files that were durable",
                             "use ext4, xfs or btrfs"};
  }
  if (is_one_of(type, {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "afs", "ceph",
                       "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"})) {
    return FileSystemTrouble{
        "is another machine's, which may say durable too soon and takes the copies with it",
        "put the data on a disk of the worker's own"};
  }
  if (type == "fuse" || type == "fuseblk" || type.starts_with("fuse.")) {
    return FileSystemTrouble{"is a program's (FUSE), which may say durable too soon",
                             "use a file system of the kernel: ext4, xfs or btrfs"};
  }
  return std::nullopt;
}

std::optional<FileSystemTrouble> trouble_of_option(std::string_view option) {
  if (option == "ro") {
    return FileSystemTrouble{"is mounted read-only",
                             "look for errors of the disk (dmesg), and mount it for writing"};
  }
  if (is_one_of(option, {"nobarrier", "barrier=0", "barrier=none"})) {
    return FileSystemTrouble{
        fmt::format("is mounted with {}: a power cut may take what was durable", option),
        fmt::format("mount it without {}", option)};
  }
  if (is_one_of(option, {"data=writeback", "volatile", "async"})) {
    return FileSystemTrouble{
        fmt::format("is mounted with {}: a power cut may leave other bytes than were written",
                    option),
        fmt::format("mount it without {}", option)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<FileSystemTrouble> trouble_with(std::string_view file_system) {
  auto const blank = std::min(file_system.find(' '), file_system.size());
  if (auto trouble = trouble_of_type(file_system.substr(0, blank))) return trouble;
  auto options = file_system.substr(std::min(blank + 1, file_system.size()));
  while (!options.empty()) {
    auto const comma = std::min(options.find(','), options.size());
    if (auto trouble = trouble_of_option(options.substr(0, comma))) return trouble;
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  return std::nullopt;
}

}  // namespace grove
