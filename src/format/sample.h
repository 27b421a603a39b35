// What coding bytes would save, guessed from a few of them, so that dense data passes at the speed
// of memory. Deterministic: the same bytes give the same guess. A wrong guess costs compression or
// time, never a byte. Threads: pure.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/limits.h"

namespace grove {

// Some of the bytes, taken as `windows_count` windows spread evenly from the first byte to the
// last.
struct SampleShape {
  std::size_t windows_count = 8;
  std::size_t window_bytes = 1024;  // a multiple of 8, so that values stay whole
};

// Copies the sample of `bytes` to the beginning of `out`, which has room for it, and returns that
// part: all of `bytes` where they are fewer. Windows begin at multiples of 8.
std::span<std::byte const> take_sample(std::span<std::byte const> bytes, SampleShape shape,
                                       std::span<std::byte> out);

// The bits that each of `bytes` needs when it is coded by itself: their entropy, corrected for how
// few they are (Miller and Madow), between 0 and 8.
double estimate_bits(std::span<std::byte const> bytes);

// Below this many bits a byte is worth coding: it saves 2.5 % of the plane.
inline constexpr double bits_worth_coding = 7.8;
// Below this many, Huffman's one bit at least loses against looking for repetitions.
inline constexpr double bits_worth_searching = 0.9;

// The share of its size that a run of bytes needs which takes `bits` a byte.
double estimate_ratio(double bits);

}  // namespace grove
