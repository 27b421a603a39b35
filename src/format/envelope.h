// The 32 bytes before a payload, laid out alike for a chunk (format/chunk.h) and for a delta
// (format/delta.h):
//
//   offset  size
//   0       8     magic
//   8       2     version, 1                          (all integers little-endian)
//   10      2     codec
//   12      4     raw length, 1 .. 4 MiB
//   16      4     encoded length, that of the payload, 1 .. raw length
//   20      4     detail: what it means is the owner's business
//   24      8     XXH3-64 of bytes 0..23 and the payload
//   32            payload
//
// Not here: what a payload means. Threads: pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "format/codec.h"

namespace grove {

struct EnvelopeKind {
  std::string_view noun;  // as messages call it
  std::array<char, 8> magic;
};

struct Envelope {
  Codec codec = Codec::raw;
  std::uint32_t raw_bytes = 0;
  std::uint32_t encoded_bytes = 0;
  std::uint32_t detail = 0;
  std::uint64_t checksum = 0;
};

// Reads and bounds-checks the first 32 bytes. Fails: invalid (another kind, newer version or codec,
// lengths that cannot be).
Result<Envelope> parse_envelope(std::span<std::byte const> bytes, EnvelopeKind const& kind);

// Fails: corrupt (`sealed` is shorter or longer than `envelope` says, or its checksum differs).
Result<void> check_sealed(std::span<std::byte const> sealed, Envelope const& envelope,
                          EnvelopeKind const& kind);

// Writes the envelope before a payload that is in place and fills the rest of `sealed`; makes the
// encoded length and the checksum, whatever `envelope` says of them.
void seal(std::span<std::byte> sealed, Envelope const& envelope, EnvelopeKind const& kind);

}  // namespace grove
