// Byte planes as they lie in a payload, shared by chunks (format/codec.h) and deltas
// (format/delta.h). For values of w bytes, n of them, and r < w bytes left over:
//
//   w × u32   how many bytes each plane takes, 1 .. n: n is the plane itself, less is a zstd frame
//   …         the planes that are there as they are, lowest byte first
//   …         the frames, likewise
//   r         the bytes left over
//
// Which planes are coded, and how, is the encoder's business: it guesses from a sample. What it
// leaves as it is it cuts straight into the payload, which therefore comes first.
// Threads: any; each keeps a workspace of one chunk, used anew by every call, so that nothing is
// allocated for a chunk.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "base/error.h"
#include "format/byte_planes.h"
#include "format/frame.h"

namespace grove {

// What is worth doing with each plane: none is to leave it as it is.
struct PlaneGuess {
  std::array<std::optional<Effort>, value_bytes_max> efforts;
  double ratio = 1;  // of the planes' encoded size to their own
};

// Guesses from the planes of a sample, which lie one after the other.
PlaneGuess guess_planes(std::span<std::byte const> planes, std::size_t value_bytes);

// Encodes the planes that `split` writes to where it is told, `planes_bytes` together, and the
// bytes left over. Returns the payload's size; nothing where it does not fit into `out`.
std::optional<std::size_t> encode_planes(PlaneGuess guess, std::size_t value_bytes,
                                         std::size_t planes_bytes,
                                         std::function<void(MutablePlanes const&)> const& split,
                                         std::span<std::byte const> left_over,
                                         std::span<std::byte> out);

struct DecodedPlanes {
  Planes planes;  // into the payload where they are raw, else into this thread's workspace
  std::span<std::byte const> left_over;  // into the payload
};

// Checks all lengths, then decodes. The result is valid until the workspace is used again.
// Fails: corrupt.
Result<DecodedPlanes> decode_planes(std::span<std::byte const> payload, std::size_t value_bytes,
                                    std::size_t raw_bytes);

}  // namespace grove
