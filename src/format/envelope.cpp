#include "format/envelope.h"

#include <cstring>
#include <memory>

#include <xxhash.h>

#include "base/limits.h"
#include "format/little_endian.h"

namespace grove {
namespace {

constexpr std::uint16_t version = 1;
constexpr std::size_t version_offset = 8;
constexpr std::size_t codec_offset = 10;
constexpr std::size_t raw_bytes_offset = 12;
constexpr std::size_t encoded_bytes_offset = 16;
constexpr std::size_t detail_offset = 20;
constexpr std::size_t checksum_offset = 24;
static_assert(checksum_offset + sizeof(std::uint64_t) == limits::chunk_header_bytes);

struct FreeXxh3 {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

// Over the envelope's fields and the payload, which lie on both sides of the checksum itself.
std::uint64_t checksum_of(std::span<std::byte const> sealed) {
  std::unique_ptr<XXH3_state_t, FreeXxh3> const state(XXH3_createState());
  GROVE_ASSERT(state != nullptr);
  auto const payload = sealed.subspan(limits::chunk_header_bytes);
  GROVE_ASSERT(XXH3_64bits_reset(state.get()) == XXH_OK);
  GROVE_ASSERT(XXH3_64bits_update(state.get(), sealed.data(), checksum_offset) == XXH_OK);
  GROVE_ASSERT(XXH3_64bits_update(state.get(), payload.data(), payload.size()) == XXH_OK);
  return XXH3_64bits_digest(state.get());
}

}  // namespace

Result<Envelope> parse_envelope(std::span<std::byte const> bytes, EnvelopeKind const& kind) {
  if (bytes.size() < limits::chunk_header_bytes) {
    return fail(ErrorKind::invalid, "{}: {} bytes, shorter than its header of {}", kind.noun,
                bytes.size(), limits::chunk_header_bytes);
  }
  if (std::memcmp(bytes.data(), kind.magic.data(), kind.magic.size()) != 0) {
    return fail(ErrorKind::invalid, "not a {}: it does not begin with \"{}\"", kind.noun,
                std::string_view(kind.magic.data(), kind.magic.size()));
  }
  auto const found_version = load_little_endian<std::uint16_t>(bytes, version_offset);
  if (found_version != version) {
    return fail(ErrorKind::invalid,
                "{}: format version {}, this grove knows {}; update the older machine", kind.noun,
                found_version, version);
  }
  auto const codec = load_little_endian<std::uint16_t>(bytes, codec_offset);
  if (codec > static_cast<std::uint16_t>(codec_last)) {
    return fail(ErrorKind::invalid, "{}: unknown codec {}; update the older machine", kind.noun,
                codec);
  }
  Envelope const envelope{
      .codec = static_cast<Codec>(codec),
      .raw_bytes = load_little_endian<std::uint32_t>(bytes, raw_bytes_offset),
      .encoded_bytes = load_little_endian<std::uint32_t>(bytes, encoded_bytes_offset),
      .detail = load_little_endian<std::uint32_t>(bytes, detail_offset),
      .checksum = load_little_endian<std::uint64_t>(bytes, checksum_offset)};
  if (envelope.raw_bytes == 0 || envelope.raw_bytes > limits::chunk_bytes_max) {
    return fail(ErrorKind::invalid, "{}: raw length {} is not within 1 and {}", kind.noun,
                envelope.raw_bytes, limits::chunk_bytes_max);
  }
  if (envelope.encoded_bytes == 0 || envelope.encoded_bytes > envelope.raw_bytes) {
    return fail(ErrorKind::invalid, "{}: encoded length {} is not within 1 and its raw length {}",
                kind.noun, envelope.encoded_bytes, envelope.raw_bytes);
  }
  return envelope;
}

Result<void> check_sealed(std::span<std::byte const> sealed, Envelope const& envelope,
                          EnvelopeKind const& kind) {
  std::size_t const announced = limits::chunk_header_bytes + envelope.encoded_bytes;
  if (sealed.size() != announced) {
    return fail(ErrorKind::corrupt, "{}: {} bytes long, its header says {}", kind.noun,
                sealed.size(), announced);
  }
  if (checksum_of(sealed) != envelope.checksum) {
    return fail(ErrorKind::corrupt, "{}: its checksum does not match its bytes", kind.noun);
  }
  return ok();
}

void seal(std::span<std::byte> sealed, Envelope const& envelope, EnvelopeKind const& kind) {
  GROVE_ASSERT(sealed.size() > limits::chunk_header_bytes);
  GROVE_ASSERT(sealed.size() <= limits::encoded_chunk_bytes_max);
  std::memcpy(sealed.data(), kind.magic.data(), kind.magic.size());
  store_little_endian(sealed, version_offset, version);
  store_little_endian(sealed, codec_offset, static_cast<std::uint16_t>(envelope.codec));
  store_little_endian(sealed, raw_bytes_offset, envelope.raw_bytes);
  store_little_endian(sealed, encoded_bytes_offset,
                      static_cast<std::uint32_t>(sealed.size() - limits::chunk_header_bytes));
  store_little_endian(sealed, detail_offset, envelope.detail);
  store_little_endian(sealed, checksum_offset, checksum_of(sealed));
}

}  // namespace grove
