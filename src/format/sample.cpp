#include "format/sample.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>

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
  // Four tables in turn: in one, equal neighbours would each wait for the one before.
  std::array<std::array<std::uint32_t, 256>, 4> counts{};
  auto const count = [&](std::size_t table, std::size_t i) {
    ++counts[table][std::to_integer<std::size_t>(bytes[i])];
  };
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    count(0, i);
    count(1, i + 1);
    count(2, i + 2);
    count(3, i + 3);
  }
  for (; i < bytes.size(); ++i) count(0, i);
  double sum = 0;
  int different_count = 0;
  for (std::size_t value = 0; value < 256; ++value) {
    std::uint32_t const times =
        counts[0][value] + counts[1][value] + counts[2][value] + counts[3][value];
    if (times == 0) continue;
    sum += times * std::log2(static_cast<double>(times));
    ++different_count;
  }
  auto const total = static_cast<double>(bytes.size());
  double const correction = (different_count - 1) / (2 * total * std::numbers::ln2);
  return std::clamp(std::log2(total) - sum / total + correction, 0.0, 8.0);
}

double estimate_ratio(double bits) {
  return bits < bits_worth_coding ? bits / 8 : 1;
}

}  // namespace grove
