// Fixed-width little-endian integers in byte buffers, as all binary formats here have them.
// Not here: bounds, which the caller has checked before it takes a field. Threads: pure.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include "base/error.h"

namespace grove {

template <std::unsigned_integral T>
T load_little_endian(std::span<std::byte const> bytes, std::size_t offset) {
  GROVE_ASSERT(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(value << 8 | std::to_integer<T>(bytes[offset + i]));
  }
  return value;
}

template <std::unsigned_integral T>
void store_little_endian(std::span<std::byte> bytes, std::size_t offset, T value) {
  GROVE_ASSERT(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[offset + i] = static_cast<std::byte>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

}  // namespace grove
