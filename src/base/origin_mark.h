// The mark by which grove knows the files that it wrote itself: an extended attribute that names
// what was gathered and what the file was then, so that one a user has written over is no longer
// grove's. Who may replace such a file: transfer/checkpoint_writer.h.
// Threads: any; blocks on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace grove {

// Of a user attribute; File adds "user.".
inline constexpr char const* origin_mark_name = "grove.origin";

// `source` ("identity@generation") and what the file is when grove has written it.
std::string origin_mark(std::string_view source, std::uint64_t file_bytes, std::int64_t mtime_ns);

enum class Origin {
  unmarked,  // somebody else's, or on a file system that keeps no marks
  grove,     // as grove wrote it
  changed,   // grove wrote it, and somebody has written to it since
};
Result<Origin> origin_of(File const& file);

}  // namespace grove
