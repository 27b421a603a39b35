#include "format/codec.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <gtest/gtest.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "format/little_endian.h"
#include "format/weights_fixture.h"

namespace grove {
namespace {

constexpr std::array<Codec, 7> codecs{Codec::zstd,     Codec::planes16, Codec::planes32,
                                      Codec::planes64, Codec::bf16,     Codec::f32,
                                      Codec::f64};

std::optional<Bytes> encode(std::span<std::byte const> raw, Codec codec) {
  Bytes payload(raw.size());
  auto const size = encode_payload(raw, codec, payload);
  if (!size) return std::nullopt;
  payload.resize(*size);
  return payload;
}

Result<Bytes> decode(std::span<std::byte const> payload, Codec codec, std::size_t raw_bytes) {
  Buffer scratch;
  TRY(decode_payload(payload, codec, raw_bytes, scratch));
  return Bytes(scratch.span().begin(), scratch.span().end());
}

double ratio_of(std::span<std::byte const> raw, ValueType type) {
  auto const payload = encode(raw, choose_codec(raw, type).codec);
  return payload ? static_cast<double>(payload->size()) / static_cast<double>(raw.size()) : 1;
}

// What it encodes, it gives back; where it does not shrink, it says so.
void expect_lossless(std::span<std::byte const> raw) {
  for (Codec const codec : codecs) {
    auto const payload = encode(raw, codec);
    if (!payload) continue;
    ASSERT_LT(payload->size(), raw.size());
    auto const back = decode(*payload, codec, raw.size());
    ASSERT_TRUE(back.has_value()) << back.error().message;
    ASSERT_TRUE(std::ranges::equal(back.value(), raw)) << static_cast<int>(codec);
  }
}

TEST(Codec, ShrinksNormalWeightsAsMuchAsTheirExponentsAllow) {
  constexpr std::size_t count = 1 << 18;
  EXPECT_LE(ratio_of(weights(ValueType::bf16, count), ValueType::bf16), 0.664);
  EXPECT_LE(ratio_of(weights(ValueType::f16, count), ValueType::f16), 0.845);
  EXPECT_LE(ratio_of(weights(ValueType::f32, count), ValueType::f32), 0.833);
  EXPECT_LE(ratio_of(weights(ValueType::f64, count), ValueType::f64), 0.870);
  EXPECT_LE(ratio_of(weights(ValueType::b8, count), ValueType::b8), 0.820);
}

TEST(Codec, FindsOutByItselfWhatAnOpaqueChunkHolds) {
  constexpr std::size_t bytes = 1 << 18;
  auto const chosen = [](Bytes const& raw) { return choose_codec(raw, ValueType::unknown).codec; };
  EXPECT_EQ(chosen(weights(ValueType::bf16, bytes / 2)), Codec::bf16);
  EXPECT_LE(ratio_of(weights(ValueType::f16, bytes / 2), ValueType::unknown), 0.845);
  EXPECT_EQ(chosen(weights(ValueType::f32, bytes / 4)), Codec::f32);
  EXPECT_EQ(chosen(weights(ValueType::f64, bytes / 8)), Codec::f64);
  EXPECT_EQ(chosen(weights(ValueType::b8, bytes)), Codec::zstd);
  EXPECT_EQ(chosen(noise(bytes)), Codec::raw);
}

TEST(Codec, LeavesDenseDataRaw) {
  for (auto const type :
       {ValueType::unknown, ValueType::b8, ValueType::i16, ValueType::i32, ValueType::i64,
        ValueType::f16, ValueType::bf16, ValueType::f32, ValueType::f64}) {
    auto const choice = choose_codec(noise(100'000), type);
    EXPECT_EQ(choice.codec, Codec::raw);
    EXPECT_EQ(choice.ratio, 1);
  }
}

TEST(Codec, PromisesNothingForLessThanOneValue) {
  for (auto const type : {ValueType::f32, ValueType::f64, ValueType::bf16}) {
    auto const choice = choose_codec(Bytes(1), type);
    EXPECT_EQ(choice.codec, Codec::raw);
    EXPECT_EQ(choice.ratio, 1);
  }
}

TEST(Codec, SaysWithinTwoHundredthsWhatItWillSave) {
  for (auto const type : {ValueType::bf16, ValueType::f16, ValueType::f32, ValueType::f64}) {
    Bytes const raw = weights(type, 1 << 18);
    EXPECT_NEAR(choose_codec(raw, type).ratio, ratio_of(raw, type), 0.02);
  }
}

TEST(Codec, LooksForRepetitionsWhereThereAreAny) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "\"model.layers." + std::to_string(i) + "\":{},";
  auto const bytes = bytes_of(text);
  EXPECT_EQ(choose_codec(bytes, ValueType::unknown).codec, Codec::zstd);
  EXPECT_LT(ratio_of(bytes, ValueType::unknown), 0.2);
  // Repeated only far apart, which no sample shows; the codec is told.
  Bytes const piece = noise(100'000);
  Bytes twice = piece;
  twice.insert(twice.end(), piece.begin(), piece.end());
  EXPECT_LT(encode(twice, Codec::zstd)->size(), 120'000u);
  // Moments that are nearly all zero.
  Bytes moments(4 << 20);
  for (std::size_t i = 0; i < moments.size(); i += 4001) moments[i] = std::byte{1};
  EXPECT_LT(ratio_of(moments, ValueType::f32), 0.01);
}

TEST(Codec, KeepsCountersAndTokens) {
  auto const tokens = bytes_from<std::int64_t>(1 << 16, [random = Random()]() mutable {
    return static_cast<std::int64_t>(random.bits() % 50'000);
  });
  EXPECT_LT(ratio_of(tokens, ValueType::i64), 0.3);
  expect_lossless(tokens);
}

TEST(Codec, KeepsEveryBitPatternOf16Bits) {
  // Each a hundred times, mixed with zeros, so that every codec has something to save.
  Bytes raw;
  for (std::uint32_t value = 0; value < 65536; ++value) {
    for (std::uint32_t const byte : {value & 0xff, value >> 8, 0u, 0u, 0u, 0u, 0u, 0u}) {
      raw.push_back(static_cast<std::byte>(byte));
    }
  }
  expect_lossless(raw);
}

TEST(Codec, KeepsNumbersThatAreNone) {
  std::vector<double> const odd{0.0,
                                -0.0,
                                std::numeric_limits<double>::denorm_min(),
                                -std::numeric_limits<double>::denorm_min(),
                                std::numeric_limits<double>::infinity(),
                                std::bit_cast<double>(0x7ff8dead'beef0001U),
                                std::bit_cast<double>(0xfff00000'00000001U)};
  expect_lossless(bytes_from<double>(10'000, [&, i = 0u]() mutable { return odd[i++ % 7]; }));
  std::vector<std::uint32_t> const odd_singles{0x80000000, 1, 0x807fffff, 0x7f800001, 0xffc0beef};
  expect_lossless(
      bytes_from<std::uint32_t>(10'000, [&, i = 0u]() mutable { return odd_singles[i++ % 5]; }));
}

TEST(Codec, KeepsEveryLengthAtEveryAlignment) {
  Bytes const zeros(100);
  Bytes const room = weights(ValueType::f32, 40'000);
  for (std::size_t size = 1; size <= zeros.size(); ++size) {
    expect_lossless(std::span(zeros).first(size));
  }
  constexpr std::size_t border = 128 * limits::kib;  // of zstd's blocks
  for (std::size_t const middle : {std::size_t{512}, border}) {
    for (std::size_t size = middle - 5; size <= middle + 5; ++size) {
      expect_lossless(std::span(room).subspan(size % 8, size));
    }
  }
  for (std::size_t const size : {limits::chunk_bytes_max - 1, limits::chunk_bytes_max}) {
    expect_lossless(Bytes(size, std::byte{7}));
  }
}

TEST(Codec, FitsIntoTheRoomItIsGivenOrSaysNo) {
  Bytes const raw = weights(ValueType::bf16, 10'000);
  std::size_t const size = encode(raw, Codec::bf16)->size();
  for (std::size_t room : {std::size_t{0}, std::size_t{7}, std::size_t{8}, size / 2, size - 1}) {
    Bytes out(room);
    EXPECT_FALSE(encode_payload(raw, Codec::bf16, out).has_value()) << room;
  }
  Bytes out(raw.size());
  EXPECT_TRUE(encode_payload(raw, Codec::bf16, out).has_value());
}

// A payload of two planes, the lower raw, the upper a frame; the lengths may lie.
class HostilePlanes : public testing::Test {
 protected:
  static constexpr std::uint32_t plane_bytes = 1000;
  static constexpr std::size_t raw_bytes = 2 * plane_bytes + 1;

  static Bytes frame_of(std::span<std::byte const> bytes) {
    Bytes frame(ZSTD_compressBound(bytes.size()));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 1));
    return frame;
  }

  static Bytes payload(std::uint32_t low_bytes, std::uint32_t high_bytes,
                       std::span<std::byte const> high, std::size_t low_written = plane_bytes) {
    Bytes bytes(8);
    store_little_endian(std::span(bytes), 0, low_bytes);
    store_little_endian(std::span(bytes), 4, high_bytes);
    Bytes const low = noise(low_written);
    bytes.insert(bytes.end(), low.begin(), low.end());
    bytes.insert(bytes.end(), high.begin(), high.end());
    bytes.push_back(std::byte{9});  // what is left over
    return bytes;
  }

  static std::string refusal(std::span<std::byte const> bytes, Codec codec = Codec::planes16,
                             std::size_t size = raw_bytes) {
    auto const decoded = decode(bytes, codec, size);
    if (decoded.has_value()) return "accepted";
    EXPECT_EQ(decoded.error().kind, ErrorKind::corrupt);
    return decoded.error().message;
  }

  Bytes zeros_ = Bytes(plane_bytes);
  Bytes frame_ = frame_of(zeros_);
  std::uint32_t frame_bytes_ = static_cast<std::uint32_t>(frame_.size());
};

TEST_F(HostilePlanes, AreAcceptedWhereEveryLengthIsRight) {
  EXPECT_EQ(refusal(payload(plane_bytes, frame_bytes_, frame_)), "accepted");
  EXPECT_EQ(refusal(payload(plane_bytes, plane_bytes, zeros_)), "accepted");
}

TEST_F(HostilePlanes, AreRefusedWhereALengthLies) {
  EXPECT_NE(refusal(payload(0, frame_bytes_, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes + 1, frame_bytes_, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes - 1, frame_bytes_, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes, 0, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes, frame_bytes_ + 1, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes, frame_bytes_ - 1, frame_)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes, 0xffffffff, frame_)), "accepted");
  // One byte moved from one plane to the other: the sum is right.
  EXPECT_NE(refusal(payload(plane_bytes - 1, frame_bytes_ + 1, frame_)), "accepted");
}

TEST_F(HostilePlanes, AreRefusedWhenCutOrLengthened) {
  Bytes bytes = payload(plane_bytes, frame_bytes_, frame_);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_NE(refusal(std::span(bytes).first(size)), "accepted") << size;
  }
  bytes.push_back(std::byte{0});
  EXPECT_EQ(refusal(bytes), "its planes take 1028 bytes, its payload has 1029");
}

TEST_F(HostilePlanes, AreRefusedWhereAFrameHoldsAnotherSize) {
  for (std::size_t const size :
       {std::size_t{plane_bytes} - 1, std::size_t{plane_bytes} + 1, std::size_t{64} << 20}) {
    Bytes const frame = frame_of(Bytes(size));
    auto const high_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(frame.size(), 999));
    EXPECT_EQ(refusal(payload(plane_bytes, high_bytes, std::span(frame).first(high_bytes))),
              "a zstd frame does not hold the 1000 bytes it should");
  }
}

TEST_F(HostilePlanes, AreRefusedWhereTheFrameIsNotAlone) {
  Bytes two = frame_;
  Bytes const empty = frame_of({});
  two.insert(two.end(), empty.begin(), empty.end());
  EXPECT_NE(refusal(payload(plane_bytes, static_cast<std::uint32_t>(two.size()), two)), "accepted");
  EXPECT_NE(refusal(payload(plane_bytes, 500, noise(500))), "accepted");
}

TEST_F(HostilePlanes, AreRefusedForValuesThatTheRawBytesCannotHold) {
  Bytes const bytes = payload(plane_bytes, frame_bytes_, frame_);
  for (std::size_t const size : {std::size_t{1}, raw_bytes - 2, raw_bytes + 1}) {
    EXPECT_NE(refusal(bytes, Codec::planes16, size), "accepted") << size;
  }
  EXPECT_NE(refusal(bytes, Codec::planes32), "accepted");
  EXPECT_NE(refusal(bytes, Codec::f64), "accepted");
  EXPECT_NE(refusal(bytes, Codec::zstd), "accepted");
}

}  // namespace
}  // namespace grove
