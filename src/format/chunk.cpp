#include "format/chunk.h"

#include <algorithm>

namespace grove {
namespace {

constexpr EnvelopeKind chunk_kind{.noun = "chunk",
                                  .magic = {'g', 'r', 'v', 'c', 'h', 'u', 'n', 'k'}};

void seal_chunk(std::span<std::byte> encoded, Codec codec, std::size_t raw_bytes) {
  seal(encoded, {.codec = codec, .raw_bytes = static_cast<std::uint32_t>(raw_bytes)}, chunk_kind);
}

}  // namespace

Result<Envelope> parse_chunk_header(std::span<std::byte const> bytes) {
  TRY(auto const envelope, parse_envelope(bytes, chunk_kind));
  bool const is_as_long = envelope.encoded_bytes == envelope.raw_bytes;
  if (is_as_long != (envelope.codec == Codec::raw)) {
    return fail(
        ErrorKind::invalid, "chunk: encoded length {} cannot be for codec {} and {} raw bytes",
        envelope.encoded_bytes, static_cast<std::uint16_t>(envelope.codec), envelope.raw_bytes);
  }
  if (envelope.detail != 0) {
    return fail(ErrorKind::invalid, "chunk: its reserved bytes 20..23 are not zero");
  }
  return envelope;
}

void seal_raw_chunk(std::span<std::byte> buffer) {
  GROVE_ASSERT(buffer.size() > limits::chunk_header_bytes);
  seal_chunk(buffer, Codec::raw, buffer.size() - limits::chunk_header_bytes);
}

Buffer encode_chunk(std::span<std::byte const> raw, Codec codec) {
  GROVE_ASSERT(!raw.empty() && raw.size() <= limits::chunk_bytes_max);
  Buffer encoded(limits::chunk_header_bytes + raw.size());
  auto const payload = encoded.span().subspan(limits::chunk_header_bytes);
  if (auto const size = encode_payload(raw, codec, payload)) {
    encoded.trim(limits::chunk_header_bytes + *size);
    seal_chunk(encoded.span(), codec, raw.size());
  } else {
    std::ranges::copy(raw, payload.begin());
    seal_raw_chunk(encoded.span());
  }
  return encoded;
}

Result<Envelope> check_chunk(std::span<std::byte const> encoded) {
  auto const header = parse_chunk_header(encoded);
  if (header.has_error()) return Error{ErrorKind::corrupt, header.error().message};
  TRY(check_sealed(encoded, header.value(), chunk_kind));
  return header.value();
}

Result<std::span<std::byte const>> decode_chunk(std::span<std::byte const> encoded,
                                                Digest const& digest, Buffer& scratch) {
  TRY(auto const header, check_chunk(encoded));
  auto raw = encoded.subspan(limits::chunk_header_bytes);
  if (header.codec != Codec::raw) {
    auto const decoded = decode_payload(raw, header.codec, header.raw_bytes, scratch);
    if (decoded.has_error()) {
      return fail(ErrorKind::corrupt, "chunk: {}", decoded.error().message);
    }
    raw = scratch.span();
  }
  if (sha256(raw) != digest) {
    return fail(ErrorKind::corrupt, "chunk: its bytes do not match its name {}",
                digest.short_hex());
  }
  return raw;
}

}  // namespace grove
