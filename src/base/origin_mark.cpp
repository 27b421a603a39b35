#include "base/origin_mark.h"

namespace grove {
namespace {

std::string suffix(std::uint64_t file_bytes, std::int64_t mtime_ns) {
  return fmt::format(" {} {}", file_bytes, mtime_ns);
}

}  // namespace

std::string origin_mark(std::string_view source, std::uint64_t file_bytes, std::int64_t mtime_ns) {
  return std::string(source) + suffix(file_bytes, mtime_ns);
}

Result<Origin> origin_of(File const& file) {
  TRY(auto const mark, file.attribute(origin_mark_name));
  if (!mark) return Origin::unmarked;
  TRY(auto const stamp, file.stamp());
  return mark->ends_with(suffix(stamp.size, stamp.mtime_ns)) ? Origin::grove : Origin::changed;
}

}  // namespace grove
