#include "worker/chunk_deltas.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "format/delta.h"
#include "store/test_store.h"
#include "worker/next_step.h"

namespace grove {
namespace {

Buffer buffer_of(std::span<std::byte const> bytes) {
  Buffer buffer(bytes.size());
  std::ranges::copy(bytes, buffer.data());
  return buffer;
}

// Two steps of one run, and a store that has the earlier one.
class ChunkDeltas : public testing::Test {
 protected:
  ChunkDeltas() {
    put(base_, Codec::raw);
    EXPECT_TRUE(store_.chunks().sync());
  }

  Digest put(Bytes const& raw, Codec codec) {
    auto const encoded = encode_chunk(raw, codec);
    EXPECT_TRUE(store_.chunks().put(sha256(raw), encoded.span()));
    return sha256(raw);
  }
  Buffer delta(Codec store_as = Codec::bf16) const {
    return std::move(*encode_delta(raw_, base_, ValueType::bf16, store_as, raw_.size()));
  }
  Result<void> keep(Buffer delta) {
    return keep_delta(store_.chunks(), digest(), base_digest(), std::move(delta));
  }
  Result<Buffer> make() { return make_delta(store_.chunks(), digest(), base_digest()); }
  Digest digest() const { return sha256(raw_); }
  Digest base_digest() const { return sha256(base_); }
  std::size_t quarantined_count() const { return names_in(store_.data().quarantine()).size(); }

  void expect_conflict(Error const& error, std::string_view part) const {
    EXPECT_EQ(error.kind, ErrorKind::conflict);
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
  }

  TestStore store_;
  Bytes base_ = weights(ValueType::bf16, 50'000);
  Bytes raw_ = next_step(base_);
};

class KeptAs : public ChunkDeltas, public testing::WithParamInterface<Codec> {};

TEST_P(KeptAs, IsTheChunkThatWouldHaveComeWhole) {
  ASSERT_TRUE(keep(delta(GetParam())));
  auto const whole = encode_chunk(raw_, GetParam());
  EXPECT_EQ(text_of(store_.chunks().get(digest()).value().span()), text_of(whole.span()));
  ASSERT_TRUE(store_.chunks().sync());
  EXPECT_EQ(store_.chunks().verify(digest()).value(), whole.size());
}

INSTANTIATE_TEST_SUITE_P(Codecs, KeptAs,
                         testing::Values(Codec::raw, Codec::zstd, Codec::planes16, Codec::bf16,
                                         Codec::f64));

TEST_F(ChunkDeltas, AreRebuiltFromABaseInAnyCodec) {
  for (Codec const codec : {Codec::zstd, Codec::bf16, Codec::f32}) {
    TestStore other;
    auto const encoded = encode_chunk(base_, codec);
    ASSERT_TRUE(other.chunks().put(base_digest(), encoded.span()));
    ASSERT_TRUE(keep_delta(other.chunks(), digest(), base_digest(), delta()));
    EXPECT_TRUE(other.chunks().verify(digest()));
    auto const made = make_delta(other.chunks(), digest(), base_digest());
    Buffer scratch;
    auto const rebuilt = decode_delta(made.value().span(), base_, digest(), scratch);
    EXPECT_EQ(rebuilt.value().store_as, Codec::bf16);
  }
}

TEST_F(ChunkDeltas, AreRefusedWhereTheBaseIsNotHere) {
  ASSERT_TRUE(store_.chunks().remove(base_digest()));
  expect_conflict(keep(delta()).error(), "is not here; send it whole");
  put(raw_, Codec::raw);
  expect_conflict(make().error(), "is not here; ask for it whole");
}

TEST_F(ChunkDeltas, AreRefusedWhereTheBaseIsDamagedWhichGoesToQuarantine) {
  flip_byte(store_.chunk_path(base_digest()), 1000);
  expect_conflict(keep(delta()).error(), "is damaged here; send it whole");
  EXPECT_FALSE(store_.chunks().has(digest()));
  EXPECT_FALSE(store_.chunks().has(base_digest()));
  EXPECT_EQ(quarantined_count(), 1U);

  put(base_, Codec::raw);
  put(raw_, Codec::raw);
  ASSERT_TRUE(store_.chunks().sync());
  flip_byte(store_.chunk_path(base_digest()), 1000);
  expect_conflict(make().error(), "is damaged here; ask for it whole");
  EXPECT_FALSE(store_.chunks().has(base_digest()));
}

TEST_F(ChunkDeltas, FindTheBaseThatLiesUnderAnothersName) {
  Bytes const other = weights(ValueType::bf16, 50'000, 3);
  std::ofstream(store_.chunk_path(base_digest()), std::ios::binary)
      << text_of(encode_chunk(other, Codec::raw).span());
  expect_conflict(keep(delta()).error(), "is damaged here; send it whole");
  EXPECT_FALSE(store_.chunks().has(base_digest()));
  EXPECT_EQ(quarantined_count(), 1U);
}

TEST_F(ChunkDeltas, ToAnotherBaseLeaveASoundOneAlone) {
  Bytes const other = next_step(raw_, 10);
  Bytes const shorter(base_.begin(), base_.end() - 2);
  auto const to_other = encode_delta(raw_, other, ValueType::bf16, Codec::raw, raw_.size());
  auto const to_shorter = encode_delta(shorter, shorter, ValueType::bf16, Codec::raw, raw_.size());
  expect_conflict(keep(buffer_of(to_other->span())).error(), "send it whole");
  expect_conflict(keep(buffer_of(to_shorter->span())).error(), "send it whole");
  EXPECT_TRUE(store_.chunks().verify(base_digest()));
  EXPECT_FALSE(store_.chunks().has(digest()));
  EXPECT_EQ(quarantined_count(), 0U);
}

TEST_F(ChunkDeltas, ThatAreNoneOrLieAboutTheirLengthsAreCorrupt) {
  auto const sound = delta();
  EXPECT_EQ(kind_of(keep(Buffer{})), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(keep(encode_chunk(raw_, Codec::raw))), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(keep(buffer_of(sound.span().first(31)))), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(keep(buffer_of(sound.span().first(sound.size() - 1)))), ErrorKind::corrupt);
  // Raw length, encoded length, width; then a byte of the payload.
  for (std::size_t const offset : {12u, 13u, 15u, 16u, 19u, 20u, 40u}) {
    auto damaged = buffer_of(sound.span());
    damaged.span()[offset] ^= std::byte{0x40};
    EXPECT_EQ(kind_of(keep(std::move(damaged))), ErrorKind::corrupt) << offset;
  }
  EXPECT_FALSE(store_.chunks().has(digest()));
  EXPECT_TRUE(store_.chunks().has(base_digest()));
  EXPECT_TRUE(names_in(store_.data().tmp()).empty());
}

TEST_F(ChunkDeltas, AreMadeOnlyWhereTheyPay) {
  put(raw_, Codec::bf16);
  auto const made = make().value();
  EXPECT_LT(made.size(), encode_chunk(raw_, Codec::bf16).size() * 9 / 10);
  store_.open();

  put(base_, Codec::raw);
  Bytes const unlike = noise(base_.size(), 7);
  put(unlike, Codec::raw);
  auto const refused = make_delta(store_.chunks(), sha256(unlike), base_digest());
  expect_conflict(refused.error(), "hardly be smaller; ask for it whole");

  Bytes const longer(base_.size() + 1);
  put(longer, Codec::raw);
  expect_conflict(make_delta(store_.chunks(), sha256(longer), base_digest()).error(),
                  "100001 bytes, its base");
}

TEST_F(ChunkDeltas, OfAChunkThatIsNotHereOrDamagedAreNone) {
  EXPECT_EQ(kind_of(make()), ErrorKind::not_found);
  put(raw_, Codec::raw);
  ASSERT_TRUE(store_.chunks().sync());
  flip_byte(store_.chunk_path(digest()), 1000);
  EXPECT_EQ(kind_of(make()), ErrorKind::corrupt);
}

TEST_F(ChunkDeltas, OfAChunkThatIsHereWriteNothing) {
  put(raw_, Codec::zstd);
  ASSERT_TRUE(store_.chunks().sync());
  auto const before = stamp_of(store_.chunk_path(digest())).value();
  ASSERT_TRUE(keep(delta()));
  EXPECT_TRUE(names_in(store_.data().tmp()).empty());
  EXPECT_EQ(stamp_of(store_.chunk_path(digest())).value(), before);
}

}  // namespace
}  // namespace grove
