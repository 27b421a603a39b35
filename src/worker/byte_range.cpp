#include "worker/byte_range.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace grove {
namespace {

constexpr std::string_view unit = "bytes=";

// A position beyond 64 bits lies behind every content.
std::optional<std::uint64_t> parse_position(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  auto const result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc{} ? value : UINT64_MAX;
}

RangeAnswer suffix_of(std::uint64_t count, std::uint64_t size) {
  if (count == 0 || size == 0) return UnsatisfiableRange{};
  return ByteRange{.begin = size - std::min(count, size), .end = size};
}

}  // namespace

RangeAnswer parse_range(std::string_view header, std::uint64_t size) {
  if (!header.starts_with(unit)) return WholeContent{};
  header.remove_prefix(unit.size());
  auto const dash = header.find('-');
  if (dash == std::string_view::npos) return WholeContent{};
  auto const first = parse_position(header.substr(0, dash));
  auto const last_text = header.substr(dash + 1);
  auto const last = parse_position(last_text);
  if (!last && !last_text.empty()) return WholeContent{};
  if (!first) {
    if (dash != 0 || !last) return WholeContent{};
    return suffix_of(*last, size);
  }
  if (last && *last < *first) return WholeContent{};
  if (*first >= size) return UnsatisfiableRange{};
  auto const end = last ? std::min(*last, size - 1) + 1 : size;
  return ByteRange{.begin = *first, .end = end};
}

std::string content_range(ByteRange range, std::uint64_t size) {
  return fmt::format("bytes {}-{}/{}", range.begin, range.end - 1, size);
}

std::string content_range(UnsatisfiableRange, std::uint64_t size) {
  return fmt::format("bytes */{}", size);
}

}  // namespace grove
