// One run of bytes as one ordinary zstd frame that states its size; any zstd tool reads it.
//
// `entropy` codes each byte by itself (Huffman, 128 KiB at a time) without looking for repetitions:
// the fastest and smallest for a plane of exponents, which has none (1.3 GB/s in, 2.5 GB/s out on
// one x86 core, and 0.325 of the size where `search` makes 0.360 at 0.4 GB/s). `search` is zstd's
// level 1, for bytes that repeat: text, and planes that are nearly all zero.
// Threads: any; each keeps a context of its own, about 0.7 MiB, made at the first call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"

namespace grove {

enum class Effort : std::uint8_t { entropy, search };

// Writes the frame of `bytes` to the beginning of `out` and returns its size. Nothing where it
// would not be smaller than `bytes`, or does not fit.
std::optional<std::size_t> encode_frame(std::span<std::byte const> bytes, Effort effort,
                                        std::span<std::byte> out);

// Is this exactly one frame, with nothing behind it, that says it holds `content_bytes`? So no
// second spelling is accepted and the size is known before memory is taken.
// Fails: corrupt.
Result<void> check_frame(std::span<std::byte const> frame, std::size_t content_bytes);

// Fills `bytes` from a frame that check_frame has accepted for as many. Fails: corrupt.
Result<void> decode_frame(std::span<std::byte const> frame, std::span<std::byte> bytes);

}  // namespace grove
