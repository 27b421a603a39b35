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

// Values at a time: in the first-level cache even of a small ARM core with all its halves.
constexpr std::size_t block_count = 512;

template <typename Value>
using Block = std::array<Value, block_count>;

template <typename Value>
inline constexpr unsigned bits_of = CHAR_BIT * sizeof(Value);

template <typename Value>
using Half =
    std::conditional_t<sizeof(Value) == 8, std::uint32_t,
                       std::conditional_t<sizeof(Value) == 4, std::uint16_t, std::uint8_t>>;

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

// Writes the first `count` values' bytes to `planes`, `stride` apart. Halves local arrays: where
// the compiler knows that nothing overlaps, it needs no checks that would keep it from vectorising.
template <typename Value>
void split_block(Block<Value> const& values, std::size_t count, std::byte* planes,
                 std::size_t stride) {
  if constexpr (sizeof(Value) == 1) {
    std::memcpy(planes, values.data(), count);
  } else {
    Block<Half<Value>> low;
    Block<Half<Value>> high;
    for (std::size_t i = 0; i < block_count; ++i) {
      low[i] = static_cast<Half<Value>>(values[i]);
      high[i] = static_cast<Half<Value>>(values[i] >> bits_of<Half<Value>>);
    }
    split_block<Half<Value>>(low, count, planes, stride);
    split_block<Half<Value>>(high, count, planes + sizeof(Half<Value>) * stride, stride);
  }
}

// Reads block_count bytes of each plane.
template <typename Value>
void merge_block(std::byte const* const* planes, Block<Value>& values) {
  if constexpr (sizeof(Value) == 1) {
    std::memcpy(values.data(), planes[0], block_count);
  } else if constexpr (sizeof(Value) == 2) {
    auto const* const low = reinterpret_cast<std::uint8_t const*>(planes[0]);
    auto const* const high = reinterpret_cast<std::uint8_t const*>(planes[1]);
    Block<Value> merged;
    for (std::size_t i = 0; i < block_count; ++i) {
      merged[i] = static_cast<Value>(low[i] | high[i] << CHAR_BIT);
    }
    values = merged;
  } else {
    Block<Half<Value>> low;
    Block<Half<Value>> high;
    merge_block<Half<Value>>(planes, low);
    merge_block<Half<Value>>(planes + sizeof(Half<Value>), high);
    for (std::size_t i = 0; i < block_count; ++i) {
      values[i] = static_cast<Value>(low[i] | static_cast<Value>(high[i]) << bits_of<Half<Value>>);
    }
  }
}

template <typename Value>
void load_block(std::span<std::byte const> raw, std::size_t first, std::size_t count,
                Block<Value>& values) {
  std::memcpy(values.data(), raw.data() + first * sizeof(Value), count * sizeof(Value));
}

// Calls load(first, count, block) for block after block and cuts what it put there.
template <typename Value, typename Load>
void split_all(std::span<std::byte> planes, Load const& load) {
  std::size_t const values_count = planes.size() / sizeof(Value);
  Block<Value> values{};
  for (std::size_t first = 0; first < values_count; first += block_count) {
    std::size_t const count = std::min(block_count, values_count - first);
    load(first, count, values);
    split_block<Value>(values, count, planes.data() + first, values_count);
  }
}

// Puts block after block together and calls save(first, count, block).
template <typename Value, typename Save>
void merge_all(Planes const& planes, Save const& save) {
  std::size_t const values_count = planes[0].size();
  Block<Value> values;
  std::array<std::byte const*, sizeof(Value)> sources{};
  std::array<Block<std::byte>, sizeof(Value)> last{};  // what is left over, filled up to a block
  for (std::size_t first = 0; first < values_count; first += block_count) {
    std::size_t const count = std::min(block_count, values_count - first);
    for (std::size_t p = 0; p < sizeof(Value); ++p) {
      sources[p] = planes[p].data() + first;
      if (count < block_count) {
        std::memcpy(last[p].data(), sources[p], count);
        sources[p] = last[p].data();
      }
    }
    merge_block<Value>(sources.data(), values);
    save(first, count, values);
  }
}

template <typename Value>
void split_as(std::span<std::byte const> raw, unsigned bits, std::span<std::byte> planes) {
  split_all<Value>(planes, [&](std::size_t first, std::size_t count, Block<Value>& values) {
    load_block(raw, first, count, values);
    for (Value& value : values) value = rotate_left(value, bits);
  });
}

template <typename Value>
void merge_as(Planes const& planes, unsigned bits, std::span<std::byte> raw) {
  unsigned const back = (bits_of<Value> - bits) % bits_of<Value>;
  merge_all<Value>(planes, [&](std::size_t first, std::size_t count, Block<Value>& values) {
    for (Value& value : values) value = rotate_left(value, back);
    std::memcpy(raw.data() + first * sizeof(Value), values.data(), count * sizeof(Value));
  });
}

template <typename Value>
void split_difference_as(std::span<std::byte const> raw, std::span<std::byte const> base,
                         std::span<std::byte> planes) {
  Block<Value> before{};
  split_all<Value>(planes, [&](std::size_t first, std::size_t count, Block<Value>& values) {
    load_block(raw, first, count, values);
    load_block(base, first, count, before);
    for (std::size_t i = 0; i < block_count; ++i) {
      values[i] = fold(static_cast<Value>(values[i] - before[i]));
    }
  });
}

template <typename Value>
void merge_difference_as(Planes const& planes, std::span<std::byte const> base,
                         std::span<std::byte> raw) {
  Block<Value> before{};
  merge_all<Value>(planes, [&](std::size_t first, std::size_t count, Block<Value>& values) {
    load_block(base, first, count, before);
    for (std::size_t i = 0; i < block_count; ++i) {
      values[i] = static_cast<Value>(unfold(values[i]) + before[i]);
    }
    std::memcpy(raw.data() + first * sizeof(Value), values.data(), count * sizeof(Value));
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

bool are_of(Planes const& planes, std::size_t value_bytes, std::size_t raw_bytes) {
  return std::ranges::all_of(std::span(planes).first(value_bytes), [&](auto const& plane) {
    return plane.size() * value_bytes == raw_bytes;
  });
}

}  // namespace

void split_planes(std::span<std::byte const> raw, PlaneLayout layout, std::span<std::byte> planes) {
  GROVE_ASSERT(raw.size() == planes.size() && raw.size() % layout.value_bytes == 0);
  with_value_of(layout.value_bytes,
                [&]<typename Value>() { split_as<Value>(raw, layout.rotated_left_bits, planes); });
}

void merge_planes(Planes const& planes, PlaneLayout layout, std::span<std::byte> raw) {
  GROVE_ASSERT(are_of(planes, layout.value_bytes, raw.size()));
  with_value_of(layout.value_bytes,
                [&]<typename Value>() { merge_as<Value>(planes, layout.rotated_left_bits, raw); });
}

void split_difference(std::span<std::byte const> raw, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> planes) {
  GROVE_ASSERT(raw.size() == planes.size() && raw.size() % value_bytes == 0);
  GROVE_ASSERT(raw.size() == base.size());
  with_value_of(value_bytes,
                [&]<typename Value>() { split_difference_as<Value>(raw, base, planes); });
}

void merge_difference(Planes const& planes, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> raw) {
  GROVE_ASSERT(are_of(planes, value_bytes, raw.size()) && raw.size() == base.size());
  with_value_of(value_bytes,
                [&]<typename Value>() { merge_difference_as<Value>(planes, base, raw); });
}

}  // namespace grove
