// Which file system a path lies on, and how it is mounted, as the kernel has it (proc(5),
// /proc/self/mountinfo). Elsewhere than on Linux nothing is known.
// Not here: what follows from it (coordinator/doctor_checks.h).
// Threads: any; file_system_of reads files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace grove {

// "ext4 rw,relatime,errors=remount-ro": the type, and the options of the mount and of the file
// system, without those that are long (an overlay's folders). Empty where it cannot be told.
std::string file_system_of(std::filesystem::path const& path);

// The same by the text of a mountinfo: of the mounts of `device` ("8:1") under which `path`
// (absolute, without links) lies the innermost, the last one where several are in one place. Of any
// device where none has that one: a subvolume has another number than its mount.
std::string file_system_in(std::string_view mountinfo, std::string_view path,
                           std::string_view device);

}  // namespace grove
