#include "format/chunk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include <xxhash.h>
#include <zstd.h>

#include "format/little_endian.h"

namespace grove {
namespace {

constexpr std::array<char, 8> magic{'g', 'r', 'v', 'c', 'h', 'u', 'n', 'k'};
constexpr std::uint16_t version = 1;
constexpr std::size_t version_offset = 8;
constexpr std::size_t codec_offset = 10;
constexpr std::size_t raw_bytes_offset = 12;
constexpr std::size_t encoded_bytes_offset = 16;
constexpr std::size_t zero_offset = 20;
constexpr std::size_t checksum_offset = 24;
static_assert(checksum_offset + sizeof(std::uint64_t) == limits::chunk_header_bytes);

// What the wire can bear at line speed on a small machine; floats get a codec of their own.
constexpr int zstd_level = 1;

struct FreeXxh3 {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

// Over the header's fields and the payload, which in an encoded chunk lie on both sides of the
// checksum itself.
std::uint64_t checksum_of(std::span<std::byte const> encoded) {
  std::unique_ptr<XXH3_state_t, FreeXxh3> const state(XXH3_createState());
  GROVE_ASSERT(state != nullptr);
  auto const payload = encoded.subspan(limits::chunk_header_bytes);
  GROVE_ASSERT(XXH3_64bits_reset(state.get()) == XXH_OK);
  GROVE_ASSERT(XXH3_64bits_update(state.get(), encoded.data(), checksum_offset) == XXH_OK);
  GROVE_ASSERT(XXH3_64bits_update(state.get(), payload.data(), payload.size()) == XXH_OK);
  return XXH3_64bits_digest(state.get());
}

// Writes the header in front of a payload that is in place.
void seal(std::span<std::byte> encoded, Codec codec, std::size_t raw_bytes) {
  std::memcpy(encoded.data(), magic.data(), magic.size());
  store_little_endian(encoded, version_offset, version);
  store_little_endian(encoded, codec_offset, static_cast<std::uint16_t>(codec));
  store_little_endian(encoded, raw_bytes_offset, static_cast<std::uint32_t>(raw_bytes));
  store_little_endian(encoded, encoded_bytes_offset,
                      static_cast<std::uint32_t>(encoded.size() - limits::chunk_header_bytes));
  store_little_endian(encoded, zero_offset, std::uint32_t{0});
  store_little_endian(encoded, checksum_offset, checksum_of(encoded));
}

std::optional<Buffer> encode_zstd(std::span<std::byte const> raw) {
  Buffer encoded(limits::chunk_header_bytes + raw.size());
  // One byte less than raw: a frame that does not shrink is an error to zstd, and raw to us.
  std::size_t const size = ZSTD_compress(encoded.data() + limits::chunk_header_bytes,
                                         raw.size() - 1, raw.data(), raw.size(), zstd_level);
  if (ZSTD_isError(size) != 0) return std::nullopt;
  encoded.shrink(limits::chunk_header_bytes + size);
  seal(encoded.span(), Codec::zstd, raw.size());
  return encoded;
}

// Exactly one frame that says its size, and nothing behind it: no second spelling of the same raw
// bytes is accepted, and the size is known before memory is taken.
Result<void> decode_zstd(std::span<std::byte const> payload, Buffer& scratch,
                         std::size_t raw_bytes) {
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != raw_bytes) {
    return fail(ErrorKind::corrupt, "chunk: its zstd frame does not hold the {} bytes it announces",
                raw_bytes);
  }
  if (ZSTD_findFrameCompressedSize(payload.data(), payload.size()) != payload.size()) {
    return fail(ErrorKind::corrupt, "chunk: its zstd frame does not fill the payload");
  }
  scratch = Buffer(raw_bytes);
  std::size_t const size =
      ZSTD_decompress(scratch.data(), scratch.size(), payload.data(), payload.size());
  if (ZSTD_isError(size) != 0) {
    return fail(ErrorKind::corrupt, "chunk: zstd: {}", ZSTD_getErrorName(size));
  }
  if (size != raw_bytes) {
    return fail(ErrorKind::corrupt, "chunk: decodes to {} bytes, its header says {}", size,
                raw_bytes);
  }
  return ok();
}

}  // namespace

Result<ChunkHeader> parse_chunk_header(std::span<std::byte const> bytes) {
  if (bytes.size() < limits::chunk_header_bytes) {
    return fail(ErrorKind::invalid, "chunk: {} bytes, shorter than its header of {}", bytes.size(),
                limits::chunk_header_bytes);
  }
  if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) {
    return fail(ErrorKind::invalid, "not a chunk: it does not begin with \"grvchunk\"");
  }
  auto const found_version = load_little_endian<std::uint16_t>(bytes, version_offset);
  if (found_version != version) {
    return fail(ErrorKind::invalid,
                "chunk: format version {}, this grove knows {}; update the older machine",
                found_version, version);
  }
  auto const codec = load_little_endian<std::uint16_t>(bytes, codec_offset);
  if (codec > static_cast<std::uint16_t>(Codec::zstd)) {
    return fail(ErrorKind::invalid, "chunk: unknown codec {}; update the older machine", codec);
  }
  ChunkHeader const header{
      .codec = static_cast<Codec>(codec),
      .raw_bytes = load_little_endian<std::uint32_t>(bytes, raw_bytes_offset),
      .encoded_bytes = load_little_endian<std::uint32_t>(bytes, encoded_bytes_offset),
      .checksum = load_little_endian<std::uint64_t>(bytes, checksum_offset)};
  if (header.raw_bytes == 0 || header.raw_bytes > limits::chunk_bytes_max) {
    return fail(ErrorKind::invalid, "chunk: raw length {} is not within 1 and {}", header.raw_bytes,
                limits::chunk_bytes_max);
  }
  bool const is_possible = header.codec == Codec::raw ? header.encoded_bytes == header.raw_bytes
                                                      : header.encoded_bytes > 0 &&
                                                            header.encoded_bytes < header.raw_bytes;
  if (!is_possible) {
    return fail(ErrorKind::invalid,
                "chunk: encoded length {} cannot be for codec {} and {} raw bytes",
                header.encoded_bytes, codec, header.raw_bytes);
  }
  if (load_little_endian<std::uint32_t>(bytes, zero_offset) != 0) {
    return fail(ErrorKind::invalid, "chunk: its reserved bytes 20..23 are not zero");
  }
  return header;
}

void seal_raw_chunk(std::span<std::byte> buffer) {
  GROVE_ASSERT(buffer.size() > limits::chunk_header_bytes);
  GROVE_ASSERT(buffer.size() <= limits::encoded_chunk_bytes_max);
  seal(buffer, Codec::raw, buffer.size() - limits::chunk_header_bytes);
}

Buffer encode_chunk(std::span<std::byte const> raw, Codec codec) {
  GROVE_ASSERT(!raw.empty() && raw.size() <= limits::chunk_bytes_max);
  if (codec == Codec::zstd) {
    if (auto encoded = encode_zstd(raw)) return std::move(*encoded);
  }
  Buffer encoded(limits::chunk_header_bytes + raw.size());
  std::ranges::copy(raw, encoded.data() + limits::chunk_header_bytes);
  seal_raw_chunk(encoded.span());
  return encoded;
}

Result<ChunkHeader> check_chunk(std::span<std::byte const> encoded) {
  auto const header = parse_chunk_header(encoded);
  if (header.has_error()) return Error{ErrorKind::corrupt, header.error().message};
  std::size_t const announced = limits::chunk_header_bytes + header.value().encoded_bytes;
  if (encoded.size() != announced) {
    return fail(ErrorKind::corrupt, "chunk: {} bytes long, its header says {}", encoded.size(),
                announced);
  }
  if (checksum_of(encoded) != header.value().checksum) {
    return fail(ErrorKind::corrupt, "chunk: its checksum does not match its bytes");
  }
  return header.value();
}

Result<std::span<std::byte const>> decode_chunk(std::span<std::byte const> encoded,
                                                Digest const& digest, Buffer& scratch) {
  TRY(auto const header, check_chunk(encoded));
  auto raw = encoded.subspan(limits::chunk_header_bytes);
  if (header.codec == Codec::zstd) {
    TRY(decode_zstd(raw, scratch, header.raw_bytes));
    raw = scratch.span();
  }
  if (sha256(raw) != digest) {
    return fail(ErrorKind::corrupt, "chunk: its bytes do not match its name {}",
                digest.short_hex());
  }
  return raw;
}

}  // namespace grove
