#include "format/delta.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "format/chunk.h"
#include "format/little_endian.h"
#include "format/test_envelope.h"
#include "format/weights_fixture.h"

namespace grove {
namespace {

constexpr std::array<ValueType, 9> types{ValueType::unknown, ValueType::b8,  ValueType::i16,
                                         ValueType::i32,     ValueType::i64, ValueType::f16,
                                         ValueType::bf16,    ValueType::f32, ValueType::f64};

std::optional<Bytes> encode(std::span<std::byte const> raw, std::span<std::byte const> base,
                            ValueType type, std::size_t encoded_bytes_max) {
  auto const delta = encode_delta(raw, base, type, Codec::bf16, encoded_bytes_max);
  if (!delta) return std::nullopt;
  return Bytes(delta->span().begin(), delta->span().end());
}

Result<Bytes> decode(std::span<std::byte const> delta, std::span<std::byte const> base,
                     Digest const& digest) {
  Buffer scratch;
  TRY(auto const rebuilt, decode_delta(delta, base, digest, scratch));
  return Bytes(rebuilt.raw.begin(), rebuilt.raw.end());
}

ErrorKind refusal(std::span<std::byte const> delta, std::span<std::byte const> base,
                  Digest const& digest) {
  auto const raw = decode(delta, base, digest);
  EXPECT_TRUE(raw.has_error());
  return raw.has_error() ? raw.error().kind : ErrorKind::internal;
}

// The next step of F32 weights: a few in a thousand of each value.
Bytes moved(Bytes const& base) {
  Random random(7);
  return bytes_from<float>(base.size() / sizeof(float), [&, i = std::size_t{0}]() mutable {
    float value = 0;
    std::memcpy(&value, base.data() + i++ * sizeof(float), sizeof(float));
    return value * static_cast<float>(1 + 0.003 * random.normal());
  });
}

TEST(Delta, OfSinglesLeavesTheLowerHalfOfTheMantissaAsItIs) {
  Bytes const base = weights(ValueType::f32, 1 << 16);
  Bytes const raw = moved(base);
  auto const delta = encode(raw, base, ValueType::f32, raw.size());
  ASSERT_TRUE(delta.has_value());
  EXPECT_LT(static_cast<double>(delta->size()), 0.75 * static_cast<double>(raw.size()));
  EXPECT_EQ(decode(*delta, base, sha256(raw)).value(), raw);
}

TEST(Delta, NamesTheCodecToKeepTheChunkIn) {
  Bytes const raw(1000, std::byte{1});
  for (Codec const codec : {Codec::raw, Codec::zstd, codec_last}) {
    auto const delta = encode_delta(raw, raw, ValueType::b8, codec, 1000);
    Buffer scratch;
    EXPECT_EQ(decode_delta(delta->span(), raw, sha256(raw), scratch).value().store_as, codec);
  }
}

TEST(Delta, RebuildsEveryLengthOfEveryType) {
  for (ValueType const type : types) {
    for (std::size_t const size :
         {1u, 2u, 3u, 7u, 8u, 9u, 100u, 101u, 4095u, 4096u, 4097u, 4103u, 65'537u}) {
      Bytes const raw = noise(size);
      Bytes base = raw;
      base[size / 2] ^= std::byte{1};
      auto const delta = encode(raw, base, type, size);
      EXPECT_TRUE(delta.has_value() || size < 4000) << size;
      EXPECT_FALSE(delta.has_value() && size < 10) << size;
      if (!delta) continue;
      EXPECT_EQ(decode(*delta, base, sha256(raw)).value(), raw);
    }
  }
}

TEST(Delta, RebuildsEveryChangeOf16Bits) {
  auto const counted = [](std::uint16_t first, std::uint16_t step) {
    return bytes_from<std::uint16_t>(
        65'536, [=, value = first]() mutable { return static_cast<std::uint16_t>(value += step); });
  };
  Bytes raw = counted(0, 1);
  Bytes base = counted(0x8000, 3);
  // Something to save, so that it is worth while.
  raw.resize(2 * raw.size());
  base.resize(raw.size());
  auto const delta = encode(raw, base, ValueType::bf16, raw.size());
  ASSERT_TRUE(delta.has_value());
  EXPECT_EQ(decode(*delta, base, sha256(raw)).value(), raw);
}

TEST(Delta, IsNotMadeWhereItWouldNotPay) {
  Bytes const raw = noise(100'000, 1);
  Bytes const base = noise(100'000, 2);
  EXPECT_FALSE(encode(raw, base, ValueType::bf16, 1'000'000).has_value());
  // Its size is the limit that it just keeps.
  Bytes const near = moved(weights(ValueType::f32, 1000));
  Bytes const near_base = weights(ValueType::f32, 1000);
  std::size_t const size = encode(near, near_base, ValueType::f32, near.size())->size();
  EXPECT_EQ(encode(near, near_base, ValueType::f32, size)->size(), size);
  EXPECT_FALSE(encode(near, near_base, ValueType::f32, size - 1).has_value());
  for (std::size_t const limit : {0u, 1u, 32u, 33u}) {
    EXPECT_FALSE(encode(near, near_base, ValueType::f32, limit).has_value());
  }
}

TEST(Delta, IsCorruptWhereverABitChanges) {
  Bytes const base(100, std::byte{7});
  Bytes const raw(100, std::byte{8});
  Bytes const delta = encode(raw, base, ValueType::b8, 100).value();
  for (std::size_t index = 0; index < delta.size(); ++index) {
    Bytes damaged = delta;
    damaged[index] ^= std::byte{0x10};
    EXPECT_EQ(refusal(damaged, base, sha256(raw)), ErrorKind::corrupt) << index;
  }
}

TEST(Delta, IsCorruptWhenCutOrLengthened) {
  Bytes const raw(100, std::byte{8});
  Bytes delta = encode(raw, raw, ValueType::b8, 100).value();
  for (std::size_t size = 0; size < delta.size(); ++size) {
    EXPECT_EQ(refusal(std::span(delta).first(size), raw, sha256(raw)), ErrorKind::corrupt);
  }
  delta.push_back(std::byte{0});
  EXPECT_EQ(refusal(delta, raw, sha256(raw)), ErrorKind::corrupt);
}

TEST(Delta, IsAConflictWithAnotherBase) {
  Bytes const base(100, std::byte{7});
  Bytes const raw(100, std::byte{8});
  Bytes const delta = encode(raw, base, ValueType::b8, 100).value();
  EXPECT_EQ(refusal(delta, raw, sha256(raw)), ErrorKind::conflict);
  EXPECT_EQ(refusal(delta, base, sha256(base)), ErrorKind::conflict);
  EXPECT_EQ(refusal(delta, std::span(base).first(99), sha256(raw)), ErrorKind::conflict);
  EXPECT_EQ(refusal(delta, {}, sha256(raw)), ErrorKind::conflict);
}

TEST(Delta, AndChunkAreNotTakenForEachOther) {
  Bytes const raw(100, std::byte{8});
  Buffer scratch;
  EXPECT_EQ(refusal(encode_chunk(raw, Codec::zstd).span(), raw, sha256(raw)), ErrorKind::corrupt);
  EXPECT_TRUE(check_chunk(encode(raw, raw, ValueType::b8, 100).value()).has_error());
}

TEST(Delta, BoundsWhatItIsToldBeforeItTakesMemory) {
  Bytes const raw(1000, std::byte{8});
  Bytes const delta = encode(raw, raw, ValueType::bf16, 1000).value();
  auto const with = [&](std::size_t offset, std::uint32_t value) {
    Bytes changed = delta;
    store_little_endian(std::span(changed), offset, value);
    reseal(changed);
    return decode(changed, raw, sha256(raw));
  };
  constexpr auto max = static_cast<std::uint32_t>(limits::chunk_bytes_max);
  EXPECT_TRUE(with(12, 1000).has_value());
  EXPECT_EQ(with(12, 0).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(with(12, max + 1).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(with(12, max).error().kind, ErrorKind::conflict);  // possible, but not of this base
  EXPECT_EQ(with(16, 0xffffffff).error().kind, ErrorKind::corrupt);
  for (std::uint32_t const value_bytes : {0u, 3u, 16u, 0xffffffffu, 1u, 4u, 8u}) {
    EXPECT_EQ(with(20, value_bytes).error().kind, ErrorKind::corrupt) << value_bytes;
  }
  EXPECT_TRUE(with(20, 2).has_value());
  for (std::uint32_t const plane_bytes : {0u, 501u, 0xffffffffu}) {
    EXPECT_EQ(with(32, plane_bytes).error().kind, ErrorKind::corrupt) << plane_bytes;
  }
}

}  // namespace
}  // namespace grove
