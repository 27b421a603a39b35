// Cuts an array of values into byte planes and puts it together again: plane p holds byte p (0 is
// the lowest) of every value, so that bytes of the same meaning stand together. Lossless for every
// bit pattern; spans may be unaligned; a value is little-endian.
//
// A layout may rotate each value to the left first, so that the exponent fills one byte: by 1 for
// F32 (eight bits of exponent on top, the sign below the mantissa) and BF16, by 4 for F64.
//
// Written for the compiler's vectoriser at -O3, which only this file is compiled with: one x86 core
// with SSE2 cuts 14, 8 and 8 GB/s of values of 2, 4 and 8 bytes and puts together 14, 10 and 7 (a
// warm chunk; memcpy does 15). At -O2 it would be 2 to 5.
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

// Where each plane lies; those from value_bytes on are empty, the others as large as there are
// values.
using Planes = std::array<std::span<std::byte const>, value_bytes_max>;
using MutablePlanes = std::array<std::span<std::byte>, value_bytes_max>;

// The first `value_bytes` of planes that fill `bytes` one after the other.
MutablePlanes adjacent_planes(std::span<std::byte> bytes, std::size_t value_bytes);

// Cuts `raw` into `planes`, which overlap neither it nor each other.
void split_planes(std::span<std::byte const> raw, PlaneLayout layout, MutablePlanes const& planes);

// The opposite.
void merge_planes(Planes const& planes, PlaneLayout layout, std::span<std::byte> raw);

// The planes of how each value differs from the one at its place in `base`, which is as large as
// `raw`: the bit patterns subtracted as integers and folded (0, -1, 1, -2 … become 0, 1, 2, 3 …),
// so that a small change is zeros in its upper planes.
void split_difference(std::span<std::byte const> raw, std::span<std::byte const> base,
                      std::size_t value_bytes, MutablePlanes const& planes);

// The opposite: rebuilds `raw` from the difference and the same base.
void merge_difference(Planes const& planes, std::span<std::byte const> base,
                      std::size_t value_bytes, std::span<std::byte> raw);

}  // namespace grove
