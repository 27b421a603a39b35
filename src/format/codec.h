// How the payload of a chunk is encoded, and which way to choose for what a chunk holds.
//
// Weights carry about 2.6 bits of entropy in their 8 bits of exponent and noise in the rest. So
// values are cut into byte planes (format/byte_planes.h), rotated so that the exponent fills one,
// and each plane is coded byte by byte or left as it is (format/plane_payload.h). How fast and how
// small: docs/benchmarks.md#the-codecs; why so: docs/decisions/0008-weights-in-byte-planes.md.
// Not here: headers, checksums, names (format/chunk.h); what changed since another chunk
// (format/delta.h).
// Threads: any; see format/plane_payload.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "base/error.h"
#include "format/value_type.h"

namespace grove {

// The numbers stand in chunks on disks. They never change; new ones are added behind.
enum class Codec : std::uint16_t {
  raw = 0,
  zstd = 1,      // one frame
  planes16 = 2,  // byte planes of 16-bit values as they are: F16 and integers
  planes32 = 3,
  planes64 = 4,
  bf16 = 5,  // … of values rotated left by 1: exponent | mantissa, sign
  f32 = 6,   // … by 1: exponent | mantissa, sign
  f64 = 7,   // … by 4: low eight bits of the exponent | mantissa, sign, the rest of the exponent
};
inline constexpr Codec codec_last = Codec::f64;

struct CodecChoice {
  Codec codec = Codec::raw;
  double ratio = 1;  // of the encoded size to the raw one, as the sample promises it
};

// The codec for a chunk of such values, from a sample of `raw`; raw where none saves 2 %. Takes 4
// to 10 µs for floats, whatever the size; 20 for integers and 45 for `unknown`, for which more ways
// are tried.
CodecChoice choose_codec(std::span<std::byte const> raw, ValueType type);

// Encodes 1 byte .. 4 MiB into the beginning of `out`; returns the payload's size. Nothing where it
// is not smaller than `raw`, or does not fit, and always for Codec::raw.
std::optional<std::size_t> encode_payload(std::span<std::byte const> raw, Codec codec,
                                          std::span<std::byte> out);

// Decodes a payload of any codec but raw into `scratch`, which is replaced by `raw_bytes`, 1 .. 4
// MiB. Everything that lengths can say is checked before memory is taken. Fails: corrupt.
Result<void> decode_payload(std::span<std::byte const> payload, Codec codec, std::size_t raw_bytes,
                            Buffer& scratch);

}  // namespace grove
