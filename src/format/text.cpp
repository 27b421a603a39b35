#include "format/text.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

namespace grove {
namespace {

constexpr std::size_t shown_bytes_max = 100;

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  // 0: not well-formed
};

// RFC 3629: how many bytes follow, and the smallest value that may be written that long.
CodePoint first_code_point(std::string_view text) {
  auto const lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  std::size_t const bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t value = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    auto const next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3fu);
  }
  constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  bool const is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest[bytes] || value > 0x10ffff || is_surrogate) return {};
  return {value, bytes};
}

bool is_control(std::uint32_t value) {
  return value < 0x20 || (value >= 0x7f && value < 0xa0);
}

}  // namespace

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    auto const [value, bytes] = first_code_point(text);
    if (bytes == 0 || is_control(value)) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string shown = "\"";
  std::size_t const size = text.size();
  while (!text.empty()) {
    auto const [value, bytes] = first_code_point(text);
    std::size_t const taken = bytes == 0 ? 1 : bytes;
    if (size - text.size() + taken > shown_bytes_max) {
      shown += "…";
      break;
    }
    if (bytes == 0 || is_control(value)) {
      for (char const c : text.substr(0, taken)) {
        shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
    } else {
      if (value == '"' || value == '\\') shown += '\\';
      shown += text.substr(0, taken);
    }
    text.remove_prefix(taken);
  }
  return shown + '"';
}

}  // namespace grove
