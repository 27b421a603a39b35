#include "format/delta.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "format/byte_planes.h"
#include "format/envelope.h"
#include "format/plane_payload.h"
#include "format/sample.h"

namespace grove {
namespace {

// Its detail is the width of the values, in bytes.
constexpr EnvelopeKind delta_kind{.noun = "delta",
                                  .magic = {'g', 'r', 'v', 'd', 'e', 'l', 't', 'a'}};

constexpr SampleShape sample_shape{.windows_count = 8, .window_bytes = 1024};
using SampleRoom = std::array<std::byte, sample_shape.windows_count * sample_shape.window_bytes>;

// A sample's guess is wrong by a hundredth or two; what it gives up must be worse than that.
constexpr double hopeless = 1.03;

struct WidthGuess {
  std::size_t value_bytes = 1;
  PlaneGuess planes;
};

std::span<std::size_t const> widths_of(ValueType type) {
  static constexpr std::array<std::size_t, 4> widths{1, 2, 4, 8};
  switch (type) {
    case ValueType::unknown:
      return widths;
    case ValueType::b8:
      return std::span(widths).subspan(0, 1);
    case ValueType::i16:
    case ValueType::f16:
    case ValueType::bf16:
      return std::span(widths).subspan(1, 1);
    case ValueType::i32:
    case ValueType::f32:
      return std::span(widths).subspan(2, 1);
    case ValueType::i64:
    case ValueType::f64:
      return std::span(widths).subspan(3, 1);
  }
  return widths;
}

WidthGuess guess_width(std::span<std::byte const> raw, std::span<std::byte const> base,
                       ValueType type) {
  SampleRoom raw_room;
  SampleRoom base_room;
  SampleRoom planes_room;
  auto const raw_sample = take_sample(raw, sample_shape, raw_room);
  auto const base_sample = take_sample(base, sample_shape, base_room);
  std::optional<WidthGuess> best;
  for (std::size_t const value_bytes : widths_of(type)) {
    std::size_t const whole = raw_sample.size() - raw_sample.size() % value_bytes;
    auto const planes = std::span(planes_room).first(whole);
    split_difference(raw_sample.first(whole), base_sample.first(whole), value_bytes,
                     adjacent_planes(planes, value_bytes));
    PlaneGuess const guess = guess_planes(planes, value_bytes);
    if (!best || guess.ratio < best->planes.ratio) {
      best = {.value_bytes = value_bytes, .planes = guess};
    }
  }
  return *best;
}

}  // namespace

std::optional<Buffer> encode_delta(std::span<std::byte const> raw, std::span<std::byte const> base,
                                   ValueType type, Codec store_as, std::size_t encoded_bytes_max) {
  GROVE_ASSERT(!raw.empty() && raw.size() <= limits::chunk_bytes_max);
  GROVE_ASSERT(raw.size() == base.size());
  if (encoded_bytes_max <= limits::chunk_header_bytes) return std::nullopt;
  std::size_t const payload_bytes_max =
      std::min(encoded_bytes_max - limits::chunk_header_bytes, raw.size());
  auto const [value_bytes, guess] = guess_width(raw, base, type);
  std::size_t const planes_bytes = raw.size() - raw.size() % value_bytes;
  bool const is_hopeless = guess.ratio * static_cast<double>(raw.size()) >
                           hopeless * static_cast<double>(payload_bytes_max);
  if (planes_bytes == 0 || is_hopeless) return std::nullopt;

  // All the room there may be, since zstd needs some to spare.
  Buffer encoded(limits::chunk_header_bytes + raw.size());
  auto const size = encode_planes(
      guess, value_bytes, planes_bytes,
      [&, bytes = value_bytes](MutablePlanes const& planes) {
        split_difference(raw.first(planes_bytes), base.first(planes_bytes), bytes, planes);
      },
      raw.subspan(planes_bytes), encoded.span().subspan(limits::chunk_header_bytes));
  if (!size || *size > payload_bytes_max) return std::nullopt;
  encoded.trim(limits::chunk_header_bytes + *size);
  seal(encoded.span(),
       {.codec = store_as,
        .raw_bytes = static_cast<std::uint32_t>(raw.size()),
        .detail = static_cast<std::uint32_t>(value_bytes)},
       delta_kind);
  return encoded;
}

Result<RebuiltChunk> decode_delta(std::span<std::byte const> encoded,
                                  std::span<std::byte const> base, Digest const& digest,
                                  Buffer& scratch) {
  auto const parsed = parse_envelope(encoded, delta_kind);
  if (parsed.has_error()) return Error{ErrorKind::corrupt, parsed.error().message};
  Envelope const& header = parsed.value();
  TRY(check_sealed(encoded, header, delta_kind));
  std::size_t const value_bytes = header.detail;
  if (!std::ranges::count(widths_of(ValueType::unknown), value_bytes)) {
    return fail(ErrorKind::corrupt, "delta: values of {} bytes; 1, 2, 4 and 8 are known",
                value_bytes);
  }
  if (header.raw_bytes != base.size()) {
    return fail(ErrorKind::conflict, "delta: it rebuilds {} bytes, its base has {}; send it whole",
                header.raw_bytes, base.size());
  }
  auto const decoded =
      decode_planes(encoded.subspan(limits::chunk_header_bytes), value_bytes, header.raw_bytes);
  if (decoded.has_error()) return fail(ErrorKind::corrupt, "delta: {}", decoded.error().message);
  auto const& [planes, left_over] = decoded.value();
  scratch = Buffer(header.raw_bytes);
  std::size_t const planes_bytes = header.raw_bytes - left_over.size();
  merge_difference(planes, base.first(planes_bytes), value_bytes,
                   scratch.span().first(planes_bytes));
  std::ranges::copy(left_over, scratch.data() + planes_bytes);
  if (sha256(scratch.span()) != digest) {
    return fail(ErrorKind::conflict,
                "delta: what it rebuilds does not match its name {}: another base; send it whole",
                digest.short_hex());
  }
  return RebuiltChunk{.raw = scratch.span(), .store_as = header.codec};
}

}  // namespace grove
