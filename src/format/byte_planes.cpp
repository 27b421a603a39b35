#include "format/byte_planes.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace grove {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read as they lie in memory");

template <typename Value>
inline constexpr unsigned bits_of = CHAR_BIT * sizeof(Value);

template <typename Value>
Value load(std::byte const* from, std::size_t index) {
  Value value;
  std::memcpy(&value, from + index * sizeof(Value), sizeof(Value));
  return value;
}

template <typename Value>
void save(Value value, std::byte* to, std::size_t index) {
  std::memcpy(to + index * sizeof(Value), &value, sizeof(Value));
}

// std::rotl branches on its count, which keeps the loop around it from being vectorised.
template <typename Value>
Value rotate_left(Value value, unsigned bits) {
  return static_cast<Value>(value << bits | value >> ((bits_of<Value> - bits) % bits_of<Value>));
}

template <typename Value>
Value fold(Value difference) {
  auto const sign = static_cast<Value>(difference >> (bits_of<Value> - 1));
  return static_cast<Value>(static_cast<Value>(difference << 1) ^ static_cast<Value>(0 - sign));
}

template <typename Value>
Value unfold(Value folded) {
  auto const sign = static_cast<Value>(folded & 1);
  return static_cast<Value>(static_cast<Value>(folded >> 1) ^ static_cast<Value>(0 - sign));
}

template <typename Value>
using Half =
    std::conditional_t<sizeof(Value) == 8, std::uint32_t,
                       std::conditional_t<sizeof(Value) == 4, std::uint16_t, std::uint8_t>>;

// Wide values go through halves, so many at a time that they stay in the first cache.
constexpr std::size_t block_count = 512;
template <typename Value>
using Halves = std::array<Half<Value>, block_count>;

// Cuts value_of(0) … value_of(count - 1) into the planes, from their byte `at` on. __restrict,
// since a byte could otherwise be part of anything, and the vectoriser would have to check. Two
// planes at a time: when four were written straight from the values it took up to four times as
// long, depending on how they lay to each other in memory.
template <typename Value, typename ValueOf>
void cut(std::byte* const* planes, std::size_t at, std::size_t count, ValueOf const& value_of) {
  std::byte* __restrict const low_plane = planes[0] + at;
  if constexpr (sizeof(Value) == 1) {
    for (std::size_t i = 0; i < count; ++i) low_plane[i] = std::byte{value_of(i)};
  } else if constexpr (sizeof(Value) == 2) {
    std::byte* __restrict const high_plane = planes[1] + at;
    for (std::size_t i = 0; i < count; ++i) {
      Value const value = value_of(i);
      low_plane[i] = static_cast<std::byte>(value & 0xff);
      high_plane[i] = static_cast<std::byte>(value >> CHAR_BIT);
    }
  } else {
    Halves<Value> low;
    Halves<Value> high;
    for (std::size_t first = 0; first < count; first += block_count) {
      std::size_t const block = std::min(block_count, count - first);
      for (std::size_t i = 0; i < block; ++i) {
        Value const value = value_of(first + i);
        low[i] = static_cast<Half<Value>>(value);
        high[i] = static_cast<Half<Value>>(value >> bits_of<Half<Value>>);
      }
      cut<Half<Value>>(planes, at + first, block, [&](std::size_t i) { return low[i]; });
      cut<Half<Value>>(planes + sizeof(Half<Value>), at + first, block,
                       [&](std::size_t i) { return high[i]; });
    }
  }
}

// The opposite: take(0, value) … take(count - 1, value). Reading four planes at once is no trouble.
template <typename Value, typename Take>
void join(std::byte const* const* planes, std::size_t at, std::size_t count, Take const& take) {
  auto const byte_at = [](std::byte const* plane, std::size_t i, unsigned byte) {
    return static_cast<Value>(static_cast<Value>(plane[i]) << (CHAR_BIT * byte));
  };
  std::byte const* __restrict const plane_0 = planes[0] + at;
  if constexpr (sizeof(Value) == 1) {
    for (std::size_t i = 0; i < count; ++i) take(i, byte_at(plane_0, i, 0));
  } else if constexpr (sizeof(Value) == 2) {
    std::byte const* __restrict const plane_1 = planes[1] + at;
    for (std::size_t i = 0; i < count; ++i) {
      take(i, static_cast<Value>(byte_at(plane_0, i, 0) | byte_at(plane_1, i, 1)));
    }
  } else if constexpr (sizeof(Value) == 4) {
    std::byte const* __restrict const plane_1 = planes[1] + at;
    std::byte const* __restrict const plane_2 = planes[2] + at;
    std::byte const* __restrict const plane_3 = planes[3] + at;
    for (std::size_t i = 0; i < count; ++i) {
      take(i, byte_at(plane_0, i, 0) | byte_at(plane_1, i, 1) | byte_at(plane_2, i, 2) |
                  byte_at(plane_3, i, 3));
    }
  } else {
    Halves<Value> low;
    Halves<Value> high;
    for (std::size_t first = 0; first < count; first += block_count) {
      std::size_t const block = std::min(block_count, count - first);
      join<Half<Value>>(planes, at + first, block,
                        [&](std::size_t i, Half<Value> half) { low[i] = half; });
      join<Half<Value>>(planes + sizeof(Half<Value>), at + first, block,
                        [&](std::size_t i, Half<Value> half) { high[i] = half; });
      for (std::size_t i = 0; i < block; ++i) {
        take(first + i, low[i] | static_cast<Value>(high[i]) << bits_of<Half<Value>>);
      }
    }
  }
}

template <typename Byte>
std::array<Byte*, value_bytes_max> pointers_to(
    std::array<std::span<Byte>, value_bytes_max> const& planes) {
  std::array<Byte*, value_bytes_max> pointers{};
  std::ranges::transform(planes, pointers.begin(), [](auto const& plane) { return plane.data(); });
  return pointers;
}

template <typename Value>
void split_as(std::byte const* __restrict raw, unsigned bits, MutablePlanes const& planes) {
  cut<Value>(pointers_to(planes).data(), 0, planes[0].size(),
             [=](std::size_t i) { return rotate_left(load<Value>(raw, i), bits); });
}

template <typename Value>
void merge_as(Planes const& planes, unsigned bits, std::byte* __restrict raw) {
  unsigned const back = (bits_of<Value> - bits) % bits_of<Value>;
  join<Value>(pointers_to(planes).data(), 0, planes[0].size(),
              [=](std::size_t i, Value value) { save(rotate_left(value, back), raw, i); });
}

template <typename Value>
void split_difference_as(std::byte const* __restrict raw, std::byte const* __restrict base,
                         MutablePlanes const& planes) {
  cut<Value>(pointers_to(planes).data(), 0, planes[0].size(), [=](std::size_t i) {
    return fold(static_cast<Value>(load<Value>(raw, i) - load<Value>(base, i)));
  });
}

template <typename Value>
void merge_difference_as(Planes const& planes, std::byte const* __restrict base,
                         std::byte* __restrict raw) {
  join<Value>(pointers_to(planes).data(), 0, planes[0].size(), [=](std::size_t i, Value value) {
    save(static_cast<Value>(unfold(value) + load<Value>(base, i)), raw, i);
  });
}

// Calls work.operator()<Value>() for the unsigned type of that many bytes.
template <typename Work>
void with_value_of(std::size_t value_bytes, Work const& work) {
  switch (value_bytes) {
    case 1:
      return work.template operator()<std::uint8_t>();
    case 2:
      return work.template operator()<std::uint16_t>();
    case 4:
      return work.template operator()<std::uint32_t>();
    default:
      GROVE_ASSERT(value_bytes == 8);
      return work.template operator()<std::uint64_t>();
  }
}

template <typename AnyPlanes>
bool hold(AnyPlanes const& planes, std::size_t value_bytes, std::size_t raw_bytes) {
  return std::ranges::all_of(std::span(planes).first(value_bytes), [&](auto const& plane) {
    return plane.size() * value_bytes == raw_bytes;
  });
}

}  // namespace

MutablePlanes adjacent_planes(std::span<std::byte> bytes, std::size_t value_bytes) {
  GROVE_ASSERT(bytes.size() % value_bytes == 0);
  std::size_t const size = bytes.size() / value_bytes;
  MutablePlanes planes;
  for (std::size_t p = 0; p < value_bytes; ++p) planes[p] = bytes.subspan(p * size, size);
  return planes;
}

void split_planes(std::span<std::byte const> raw, PlaneLayout layout, MutablePlanes const& planes) {
  GROVE_ASSERT(hold(planes, layout.value_bytes, raw.size()));
  with_value_of(layout.value_bytes, [&]<typename Value>() {
    split_as<Value>(raw.data(), layout.rotated_left_bits, planes);
  });
}

void merge_planes(Planes const& planes, PlaneLayout layout, std::span<std::byte> raw) {
  GROVE_ASSERT(hold(planes, layout.value_bytes, raw.size()));
  with_value_of(layout.value_bytes, [&]<typename Value>() {
    merge_as<Value>(planes, layout.rotated_left_bits, raw.data());
  });
}

void split_difference(std::span<std::byte const> raw, std::span<std::byte const> base,
                      std::size_t value_bytes, MutablePlanes const& planes) {
  GROVE_ASSERT(hold(planes, value_bytes, raw.size()) && raw.size() == base.size());
  with_value_of(value_bytes, [&]<typename Value>() {
    split_difference_as<Value>(raw.data(), base.data(), planes);
  });
}

void merge_difference(Planes const& planes, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> raw) {
  GROVE_ASSERT(hold(planes, value_bytes, raw.size()) && raw.size() == base.size());
  with_value_of(value_bytes, [&]<typename Value>() {
    merge_difference_as<Value>(planes, base.data(), raw.data());
  });
}

}  // namespace grove
