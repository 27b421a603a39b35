// Text seen as bytes and bytes seen as text, as they lie there: nothing is copied, so what they
// look at must outlive them.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/buffer.h"

namespace grove {

inline std::span<std::byte const> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline std::string_view text_of(std::span<std::byte const> bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}
inline std::string_view text_of(Buffer const& buffer) {
  return text_of(buffer.span());
}

}  // namespace grove
