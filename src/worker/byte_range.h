// The Range header of one request, as far as RFC 9110 section 14 makes a server answer it: a single
// range of bytes. Several ranges, other units and ill-formed text are ignored, as the RFC allows.
// Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace grove {

// Half-open, within the content.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  friend bool operator==(ByteRange const&, ByteRange const&) = default;
};

struct WholeContent {};        // 200
struct UnsatisfiableRange {};  // 416

using RangeAnswer = std::variant<WholeContent, ByteRange, UnsatisfiableRange>;

// What to answer to "bytes=0-99", "bytes=100-", "bytes=-100" of a content of `size` bytes.
RangeAnswer parse_range(std::string_view header, std::uint64_t size);

// "bytes 0-99/1234"
std::string content_range(ByteRange range, std::uint64_t size);
// "bytes */1234", for a 416.
std::string content_range(UnsatisfiableRange, std::uint64_t size);

}  // namespace grove
