// One chunk as a difference to another of the same length: what travels where sender and receiver
// both hold the other one, its base. Never kept: the receiver rebuilds the chunk, proves it by its
// name and keeps it whole, in the codec that the delta names.
//
// Between two steps of one run a value changes by little. So the values' bit patterns are
// subtracted as integers (format/byte_planes.h) and the difference's planes coded
// (format/plane_payload.h); its upper planes are nearly all zero. Measured:
// docs/benchmarks.md. Format: docs/formats.md#delta. Not here: which chunk is whose base
// (plan/). Threads: any; see plane_workspace.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/codec.h"
#include "format/value_type.h"

namespace grove {

// A delta is worth its base's reading, on both sides, where it takes no more than this of the bytes
// that the chunk would take without.
inline constexpr double delta_share_max = 0.95;

// Encodes `raw` (1 byte .. 4 MiB), as a difference to `base`, which is as long. Nothing where it
// would take more than `encoded_bytes_max` with its header, or more than `raw` itself; where that
// is plain from a sample it takes 10 µs to say so.
std::optional<Buffer> encode_delta(std::span<std::byte const> raw, std::span<std::byte const> base,
                                   ValueType type, Codec store_as, std::size_t encoded_bytes_max);

struct RebuiltChunk {
  std::span<std::byte const> raw;  // into the scratch it was rebuilt in
  Codec store_as = Codec::raw;     // for encode_chunk
};

// Rebuilds a chunk from its delta and the raw bytes of its base, and proves it: header, checksum
// and SHA-256 against `digest`. `scratch` is replaced. Allocates at most chunk_bytes_max, after
// everything that lengths can say is checked.
// Fails: corrupt (damaged, or not a delta), conflict (it fits another base: ask for the whole
// chunk).
Result<RebuiltChunk> decode_delta(std::span<std::byte const> encoded,
                                  std::span<std::byte const> base, Digest const& digest,
                                  Buffer& scratch);

}  // namespace grove
