#include "base/error.h"

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <tuple>

namespace grove {

namespace {

constexpr std::array<std::string_view, 8> kind_names{"invalid",   "not_found",   "conflict",
                                                     "corrupt",   "unavailable", "exhausted",
                                                     "cancelled", "internal"};
static_assert(kind_names.size() == static_cast<std::size_t>(ErrorKind::internal) + 1);

// The length of the UTF-8 sequence that `text` starts with, or 0 where it is none (RFC 3629: no
// over-long forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_sequence_size(std::string_view text) {
  auto const byte = [&](std::size_t index) {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
  };
  auto const continues = [&](std::size_t index, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(index) >= low && byte(index) <= high;
  };
  unsigned const first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    bool const second = continues(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    bool const second = continues(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

// C0 and DEL, and C1 (U+0080 to U+009F): some terminals act on all of them.
bool is_control(std::string_view sequence) {
  auto const first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
  return kind_names.at(static_cast<std::size_t>(kind));
}

ErrorKind parse_error_kind(std::string_view name) {
  for (std::size_t index = 0; index < kind_names.size(); ++index) {
    if (kind_names.at(index) == name) return static_cast<ErrorKind>(index);
  }
  return ErrorKind::internal;
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    std::size_t const valid = utf8_sequence_size(text);
    std::string_view const sequence = text.substr(0, valid == 0 ? 1 : valid);
    if (valid != 0 && !is_control(sequence)) {
      shown += sequence;
    } else {
      for (char const byte : sequence) {
        shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(sequence.size());
  }
  return shown;
}

void assertion_failed(char const* condition, char const* file, int line) {
  // Plain stderr: the logger may be what is broken, and it may hold a lock.
  std::ignore = std::fprintf(stderr, "grove: bug: %s:%d: %s does not hold; stopping\n", file, line,
                             condition);
  std::abort();
}

}  // namespace grove
