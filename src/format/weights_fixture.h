// Weights for the tests of the codecs: normal(0, 0.02) in any type, the same on every machine.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "format/value_type.h"

namespace grove {

using Bytes = std::vector<std::byte>;

class Random {
 public:
  explicit Random(std::uint64_t seed = 1) : state_(seed) {}

  // xorshift64* (Vigna).
  std::uint64_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dU;
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  // [0, 1)
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

inline Bytes noise(std::size_t size, std::uint64_t seed = 1) {
  Random random(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.bits() >> 56);
  return bytes;
}

// Rounded to the nearest; weights too small for a normal number become denormals.
inline std::uint16_t half_of(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  float const scaled = std::bit_cast<float>(bits & 0x7fffffff) * 0x1p-112F;
  auto const rounded = std::bit_cast<std::uint32_t>(scaled) + 0x1000;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | rounded >> 13);
}

inline std::uint16_t bfloat_of(float value) {
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(value) + 0x8000) >> 16);
}

// E4M3, cut off.
inline std::uint8_t eight_bits_of(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  int const kept = static_cast<int>((bits & 0x7fffffff) >> 20) - (120 << 3);
  int const magnitude = kept < 0 ? 0 : kept > 0x7e ? 0x7e : kept;
  return static_cast<std::uint8_t>((bits >> 24 & 0x80) | static_cast<unsigned>(magnitude));
}

template <typename Value, typename Next>
Bytes bytes_from(std::size_t count, Next next) {
  Bytes bytes(count * sizeof(Value));
  for (std::size_t i = 0; i < count; ++i) {
    Value const value = next();
    std::memcpy(bytes.data() + i * sizeof(Value), &value, sizeof(Value));
  }
  return bytes;
}

// `count` weights as BF16, F16, F32, F64, or F8 (b8).
inline Bytes weights(ValueType type, std::size_t count, std::uint64_t seed = 1) {
  Random random(seed);
  auto const weight = [&] { return 0.02 * random.normal(); };
  auto const single = [&] { return static_cast<float>(weight()); };
  switch (type) {
    case ValueType::bf16:
      return bytes_from<std::uint16_t>(count, [&] { return bfloat_of(single()); });
    case ValueType::f16:
      return bytes_from<std::uint16_t>(count, [&] { return half_of(single()); });
    case ValueType::f32:
      return bytes_from<float>(count, single);
    case ValueType::f64:
      return bytes_from<double>(count, weight);
    default:
      return bytes_from<std::uint8_t>(count, [&] { return eight_bits_of(4096 * single()); });
  }
}

}  // namespace grove
