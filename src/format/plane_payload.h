// Byte planes as they lie in a payload, shared by chunks (format/codec.h) and deltas
// (format/delta.h). For values of w bytes, n of them, and r < w bytes left over:
//
//   w × u32   how many bytes each plane takes, 1 .. n: n is the plane itself, less is a zstd frame
//   …         the planes, lowest byte first
//   r         the bytes left over, as they are
//
// Which planes are coded and how is decided from a sample of each, and is the encoder's business:
// a reader takes them as they come.
// Threads: any; each keeps a workspace of one chunk, used anew by every call, so that nothing is
// allocated for a chunk.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/error.h"
#include "format/byte_planes.h"

namespace grove {

// This thread's workspace: at least `size` bytes, at most a chunk's. Valid until the next call
// here.
std::span<std::byte> plane_workspace(std::size_t size);

// Encodes the planes of values of `value_bytes`, which lie one after the other, and the bytes left
// over. Returns the payload's size; nothing where it does not fit into `out`.
std::optional<std::size_t> encode_planes(std::span<std::byte const> planes,
                                         std::span<std::byte const> left_over,
                                         std::size_t value_bytes, std::span<std::byte> out);

struct DecodedPlanes {
  Planes planes;  // into the payload where they are raw, else into this thread's workspace
  std::span<std::byte const> left_over;  // into the payload
};

// Checks all lengths, then decodes. The result is valid until the workspace is used again.
// Fails: corrupt.
Result<DecodedPlanes> decode_planes(std::span<std::byte const> payload, std::size_t value_bytes,
                                    std::size_t raw_bytes);

}  // namespace grove
