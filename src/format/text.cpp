#include "format/text.h"

#include <cstddef>

#include "base/error.h"

namespace grove {
namespace {

constexpr std::size_t shown_bytes_max = 100;

// Not inside a character.
std::string_view cut(std::string_view text) {
  std::size_t end = shown_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

bool is_plain_text(std::string_view text) {
  return printable(text) == text;
}

std::string shown(std::string_view text) {
  bool const is_long = text.size() > shown_bytes_max;
  std::string escaped;
  for (char const c : is_long ? cut(text) : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return fmt::format("\"{}{}\"", printable(escaped), is_long ? "…" : "");
}

}  // namespace grove
