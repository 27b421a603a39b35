#include "format/codec.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "format/byte_planes.h"
#include "format/frame.h"
#include "format/plane_payload.h"
#include "format/sample.h"

namespace grove {
namespace {

// What is not worth its time: every reader pays for decoding.
constexpr double ratio_worth_coding = 0.98;
// What comes later has to be better by so much than what came before: its guess, for wider values
// from fewer of them, could seem better by chance, and the right one is better by far more.
constexpr double ratio_clearly_better = 0.97;

constexpr SampleShape layout_sample{.windows_count = 8, .window_bytes = 1024};
// Repetitions show only in longer pieces.
constexpr SampleShape search_sample{.windows_count = 4, .window_bytes = 4096};

template <SampleShape shape>
using Sample = std::array<std::byte, shape.windows_count * shape.window_bytes>;

struct PlaneCodec {
  Codec codec = Codec::raw;
  PlaneLayout layout;
};

// Of two that a sample cannot tell apart the one before is taken.
constexpr std::array<PlaneCodec, 6> plane_codecs{{
    {Codec::bf16, {.value_bytes = 2, .rotated_left_bits = 1}},
    {Codec::planes16, {.value_bytes = 2, .rotated_left_bits = 0}},
    {Codec::f32, {.value_bytes = 4, .rotated_left_bits = 1}},
    {Codec::planes32, {.value_bytes = 4, .rotated_left_bits = 0}},
    {Codec::f64, {.value_bytes = 8, .rotated_left_bits = 4}},
    {Codec::planes64, {.value_bytes = 8, .rotated_left_bits = 0}},
}};

PlaneLayout layout_of(Codec codec) {
  auto const* const found = std::ranges::find(plane_codecs, codec, &PlaneCodec::codec);
  GROVE_ASSERT(found != plane_codecs.end());
  return found->layout;
}

bool is_tried_for(Codec codec, ValueType type) {
  switch (type) {
    case ValueType::unknown:  // wide integers are told well enough by the floats' layouts
      return codec != Codec::planes32 && codec != Codec::planes64;
    case ValueType::b8:
      return codec == Codec::zstd;
    case ValueType::i16:
      return codec == Codec::planes16 || codec == Codec::zstd;
    case ValueType::i32:
      return codec == Codec::planes32 || codec == Codec::zstd;
    case ValueType::i64:
      return codec == Codec::planes64 || codec == Codec::zstd;
    case ValueType::f16:
      return codec == Codec::planes16;
    case ValueType::bf16:
      return codec == Codec::bf16;
    case ValueType::f32:
      return codec == Codec::f32;
    case ValueType::f64:
      return codec == Codec::f64;
  }
  return false;
}

PlaneGuess guess_layout(std::span<std::byte const> raw, PlaneLayout layout) {
  Sample<layout_sample> raw_room;
  Sample<layout_sample> planes_room;
  auto const sample = take_sample(raw, layout_sample, raw_room);
  auto const whole = sample.first(sample.size() - sample.size() % layout.value_bytes);
  auto const planes = std::span(planes_room).first(whole.size());
  split_planes(whole, layout, adjacent_planes(planes, layout.value_bytes));
  return guess_planes(planes, layout.value_bytes);
}

struct FrameChoice {
  Effort effort = Effort::entropy;
  double ratio = 1;
};

// Tries on a sample whether looking for repetitions pays. Where nothing shrinks the sample they are
// looked for too: zstd rushes through noise, and what repeats may be longer than the sample.
FrameChoice choose_frame(std::span<std::byte const> raw) {
  Sample<search_sample> room;
  Sample<search_sample> encoded;
  auto const sample = take_sample(raw, search_sample, room);
  double const entropy_ratio = estimate_ratio(estimate_bits(sample));
  auto const size = encode_frame(sample, Effort::search, encoded);
  double const search_ratio =
      size ? static_cast<double>(*size) / static_cast<double>(sample.size()) : 1;
  // It is several times slower, in and out.
  bool const is_search_better =
      entropy_ratio == 1 || search_ratio < ratio_clearly_better * entropy_ratio;
  if (is_search_better) return {Effort::search, search_ratio};
  return {Effort::entropy, entropy_ratio};
}

}  // namespace

CodecChoice choose_codec(std::span<std::byte const> raw, ValueType type) {
  GROVE_ASSERT(!raw.empty());
  CodecChoice best{.codec = Codec::raw, .ratio = ratio_worth_coding / ratio_clearly_better};
  auto const consider = [&](Codec codec, double ratio) {
    if (ratio < ratio_clearly_better * best.ratio) best = {codec, ratio};
  };
  if (is_tried_for(Codec::zstd, type)) consider(Codec::zstd, choose_frame(raw).ratio);
  for (auto const& [codec, layout] : plane_codecs) {
    if (is_tried_for(codec, type)) consider(codec, guess_layout(raw, layout).ratio);
  }
  if (best.codec == Codec::raw) best.ratio = 1;
  return best;
}

std::optional<std::size_t> encode_payload(std::span<std::byte const> raw, Codec codec,
                                          std::span<std::byte> out) {
  GROVE_ASSERT(!raw.empty() && raw.size() <= limits::chunk_bytes_max);
  auto const room = out.first(std::min(out.size(), raw.size() - 1));
  if (codec == Codec::raw) return std::nullopt;
  if (codec == Codec::zstd) return encode_frame(raw, choose_frame(raw).effort, room);
  PlaneLayout const layout = layout_of(codec);
  std::size_t const planes_bytes = raw.size() - raw.size() % layout.value_bytes;
  if (planes_bytes == 0) return std::nullopt;
  auto const whole = raw.first(planes_bytes);
  return encode_planes(
      guess_layout(whole, layout), layout.value_bytes, planes_bytes,
      [&](MutablePlanes const& planes) { split_planes(whole, layout, planes); },
      raw.subspan(planes_bytes), room);
}

Result<void> decode_payload(std::span<std::byte const> payload, Codec codec, std::size_t raw_bytes,
                            Buffer& scratch) {
  GROVE_ASSERT(codec != Codec::raw && raw_bytes > 0 && raw_bytes <= limits::chunk_bytes_max);
  if (codec == Codec::zstd) {
    TRY(check_frame(payload, raw_bytes));
    scratch = Buffer(raw_bytes);
    return decode_frame(payload, scratch.span());
  }
  PlaneLayout const layout = layout_of(codec);
  TRY(auto const decoded, decode_planes(payload, layout.value_bytes, raw_bytes));
  scratch = Buffer(raw_bytes);
  std::size_t const planes_bytes = raw_bytes - decoded.left_over.size();
  merge_planes(decoded.planes, layout, scratch.span().first(planes_bytes));
  std::ranges::copy(decoded.left_over, scratch.data() + planes_bytes);
  return ok();
}

}  // namespace grove
