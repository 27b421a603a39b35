// Cuts an array of values into byte planes and puts it together again: plane p holds byte p (0 is
// the lowest) of every value, so that bytes of the same meaning stand together. Lossless for every
// bit pattern; spans may be unaligned; a value is little-endian.
//
// A layout may rotate each value to the left first, so that the exponent fills one byte: by 1 for
// F32 (eight bits of exponent on top, the sign below the mantissa) and BF16, by 4 for F64.
//
// Written for the compiler's vectoriser at -O2: blocks of a fixed count in local arrays, halved
// until bytes are left (2 to 8 byte values: 5.6 to 8 GB/s to cut, 6.5 to 10 GB/s to put together
// on one x86 core with SSE2, where a loop over the values does 1.5 to 3.7).
// Not here: what is done with a plane (format/plane_payload.h). Threads: pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace grove {

inline constexpr std::size_t value_bytes_max = 8;

struct PlaneLayout {
  std::size_t value_bytes = 1;     // 1, 2, 4 or 8
  unsigned rotated_left_bits = 0;  // below 8 * value_bytes

  friend bool operator==(PlaneLayout const&, PlaneLayout const&) = default;
};

// Where each plane lies; those from value_bytes on are empty. All have the same size.
using Planes = std::array<std::span<std::byte const>, value_bytes_max>;

// Cuts `raw`, whole values, into `planes`, as large: plane 0 first.
void split_planes(std::span<std::byte const> raw, PlaneLayout layout, std::span<std::byte> planes);

// The opposite. `raw` holds as many values as a plane has bytes.
void merge_planes(Planes const& planes, PlaneLayout layout, std::span<std::byte> raw);

// The planes of how each value differs from the one at its place in `base`, which is as large as
// `raw`: the bit patterns subtracted as integers and folded (0, -1, 1, -2 … become 0, 1, 2, 3 …),
// so that a small change is zeros in its upper planes.
void split_difference(std::span<std::byte const> raw, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> planes);

// The opposite: rebuilds `raw` from the difference and the same base.
void merge_difference(Planes const& planes, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> raw);

}  // namespace grove
