// One encoded chunk: what travels and what lies on a worker's disk, byte for byte the same.
//
//   offset  size
//   0       8     magic "grvchunk"
//   8       2     version, 1                          (all integers little-endian)
//   10      2     codec, see format/codec.h
//   12      4     raw length, 1 .. 4 MiB
//   16      4     encoded length, that of the payload; for raw it equals the raw length, for the
//                 others it is smaller
//   20      4     zero
//   24      8     XXH3-64 of bytes 0..23 and the payload
//   32            payload
//
// The checksum finds damage at memory speed before a chunk goes out; the name (SHA-256 of the raw
// bytes) is the proof, checked by whoever receives it. Format: docs/formats.md#chunk.
// Not here: how a payload is encoded (format/codec.h), where chunks lie (store/chunk_store.h), how
// files are cut (plan/shards.h).
// Threads: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/limits.h"
#include "format/codec.h"
#include "format/envelope.h"

namespace grove {

// Reads and bounds-checks the first 32 bytes. Fails: invalid (not a chunk, newer version, lengths
// that cannot be).
Result<Envelope> parse_chunk_header(std::span<std::byte const> bytes);

// Turns a buffer whose first chunk_header_bytes are free and whose rest is the raw payload into an
// encoded chunk without copying.
void seal_raw_chunk(std::span<std::byte> buffer);

// Encodes `raw` (1 byte .. 4 MiB) with `codec`, or raw where that does not make it smaller. Which
// codec suits, choose_codec says; where it says raw, seal_raw_chunk saves the copy.
Buffer encode_chunk(std::span<std::byte const> raw, Codec codec);

// Checks header, lengths and checksum of a whole encoded chunk; does not decode.
// Fails: corrupt.
Result<Envelope> check_chunk(std::span<std::byte const> encoded);

// Decodes and proves an encoded chunk: header, checksum and SHA-256 of the raw bytes against
// `digest`. The result views into `encoded` for raw chunks, else into `scratch`, which is replaced;
// it is valid while both live. Allocates at most chunk_bytes_max.
// Fails: corrupt.
Result<std::span<std::byte const>> decode_chunk(std::span<std::byte const> encoded,
                                                Digest const& digest, Buffer& scratch);

}  // namespace grove
