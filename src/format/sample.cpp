#include "format/sample.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "format/byte_planes.h"

namespace grove {

std::span<std::byte const> take_sample(std::span<std::byte const> bytes, SampleShape shape,
                                       std::span<std::byte> out) {
  GROVE_ASSERT(shape.window_bytes % value_bytes_max == 0 && shape.windows_count > 1);
  if (bytes.size() <= shape.windows_count * shape.window_bytes) {
    std::ranges::copy(bytes, out.begin());
    return out.first(bytes.size());
  }
  std::size_t const last_begin = bytes.size() - shape.window_bytes;
  for (std::size_t i = 0; i < shape.windows_count; ++i) {
    std::size_t const begin =
        last_begin * i / (shape.windows_count - 1) / value_bytes_max * value_bytes_max;
    std::memcpy(out.data() + i * shape.window_bytes, bytes.data() + begin, shape.window_bytes);
  }
  return out.first(shape.windows_count * shape.window_bytes);
}

double estimate_bits(std::span<std::byte const> bytes) {
  if (bytes.empty()) return 0;
  std::array<std::uint32_t, 256> counts{};
  for (std::byte const byte : bytes) ++counts[std::to_integer<std::size_t>(byte)];
  auto const total = static_cast<double>(bytes.size());
  double sum = 0;
  int different_count = 0;
  for (std::uint32_t const count : counts) {
    if (count == 0) continue;
    sum += count * std::log2(static_cast<double>(count));
    ++different_count;
  }
  double const correction = (different_count - 1) / (2 * total * std::log(2.0));
  return std::min(8.0, std::log2(total) - sum / total + correction);
}

double estimate_ratio(double bits) {
  return bits < bits_worth_coding ? bits / 8 : 1;
}

}  // namespace grove
