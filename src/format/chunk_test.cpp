#include "format/chunk.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <zstd.h>

#include "base/bytes.h"
#include "format/little_endian.h"
#include "format/test_envelope.h"
#include "format/weights_fixture.h"

namespace grove {
namespace {

Bytes copied(std::string_view text) {
  auto const bytes = bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

Bytes encoded(std::span<std::byte const> raw, Codec codec) {
  Buffer const chunk = encode_chunk(raw, codec);
  return {chunk.span().begin(), chunk.span().end()};
}

// A sealed zstd chunk of this payload that claims `raw_bytes`.
Bytes zstd_chunk(std::span<std::byte const> payload, std::uint32_t raw_bytes) {
  Bytes chunk = encoded(noise(payload.size()), Codec::raw);
  std::ranges::copy(payload, chunk.begin() + 32);
  store_little_endian(std::span(chunk), 10, std::uint16_t{1});
  store_little_endian(std::span(chunk), 12, raw_bytes);
  reseal(chunk);
  return chunk;
}

Bytes zstd_frame(std::span<std::byte const> raw) {
  Bytes frame(ZSTD_compressBound(raw.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), 1));
  return frame;
}

// A frame that does not say how much it holds.
Bytes zstd_frame_without_size(std::span<std::byte const> raw) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  Bytes frame(ZSTD_compressBound(raw.size()));
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), raw.data(), raw.size()));
  ZSTD_freeCCtx(context);
  return frame;
}

Result<Bytes> decode(std::span<std::byte const> chunk, Digest const& digest) {
  Buffer scratch;
  TRY(auto const raw, decode_chunk(chunk, digest, scratch));
  return Bytes(raw.begin(), raw.end());
}

ErrorKind refusal_of(std::span<std::byte const> chunk, Digest const& digest) {
  auto const raw = decode(chunk, digest);
  EXPECT_TRUE(raw.has_error());
  return raw.has_error() ? raw.error().kind : ErrorKind::internal;
}

TEST(Chunk, IsLaidOutAsDocumented) {
  Bytes const chunk = encoded(copied("smoltorrent"), Codec::raw);
  ASSERT_EQ(chunk.size(), 32u + 11u);
  EXPECT_EQ(Bytes(chunk.begin(), chunk.begin() + 8), copied("grvchunk"));
  EXPECT_EQ(load_little_endian<std::uint16_t>(chunk, 8), 1u);
  EXPECT_EQ(load_little_endian<std::uint16_t>(chunk, 10), 0u);
  EXPECT_EQ(load_little_endian<std::uint32_t>(chunk, 12), 11u);
  EXPECT_EQ(load_little_endian<std::uint32_t>(chunk, 16), 11u);
  EXPECT_EQ(load_little_endian<std::uint32_t>(chunk, 20), 0u);
  EXPECT_EQ(Bytes(chunk.begin() + 32, chunk.end()), copied("smoltorrent"));
  // The worked example of docs/formats.md.
  EXPECT_EQ(load_little_endian<std::uint64_t>(chunk, 24), 0x722aa91ffb2ad590u);
}

TEST(Chunk, GivesBackWhatWasEncoded) {
  Bytes const zeros(limits::chunk_bytes_max, std::byte{0});
  for (Bytes const& raw : {copied("x"), zeros, noise(limits::chunk_bytes_max), noise(1000)}) {
    for (Codec const codec : {Codec::raw, Codec::zstd}) {
      EXPECT_EQ(decode(encoded(raw, codec), sha256(raw)).value(), raw);
    }
  }
}

TEST(Chunk, IsRawWhereTheCodecDoesNotMakeItSmaller) {
  for (std::size_t const size : {1u, 2u, 5000u}) {
    Bytes const raw = noise(size);
    Bytes const chunk = encoded(raw, Codec::zstd);
    EXPECT_EQ(check_chunk(chunk).value().codec, Codec::raw);
    EXPECT_EQ(chunk, encoded(raw, Codec::raw));
  }
}

TEST(Chunk, IsSmallerWhereTheCodecHelps) {
  Bytes const raw(100'000, std::byte{7});
  Bytes const chunk = encoded(raw, Codec::zstd);
  auto const header = check_chunk(chunk).value();
  EXPECT_EQ(header.codec, Codec::zstd);
  EXPECT_EQ(header.raw_bytes, raw.size());
  EXPECT_EQ(header.encoded_bytes, chunk.size() - limits::chunk_header_bytes);
  EXPECT_LT(chunk.size(), 200u);
}

TEST(Chunk, IsSealedInPlaceAsIfItWereEncoded) {
  Bytes const raw = noise(1000);
  Bytes buffer(limits::chunk_header_bytes);
  buffer.insert(buffer.end(), raw.begin(), raw.end());
  seal_raw_chunk(buffer);
  EXPECT_EQ(buffer, encoded(raw, Codec::raw));
}

TEST(Chunk, DecodesARawOneWithoutCopyingIt) {
  Bytes const chunk = encoded(copied("smoltorrent"), Codec::raw);
  Buffer scratch;
  auto const raw = decode_chunk(chunk, sha256("smoltorrent"), scratch).value();
  EXPECT_EQ(raw.data(), chunk.data() + limits::chunk_header_bytes);
}

TEST(Chunk, IsCorruptWhereverABitChanges) {
  for (Codec const codec : {Codec::raw, Codec::zstd}) {
    Bytes const raw(100, std::byte{7});
    Bytes const chunk = encoded(raw, codec);
    for (std::size_t index = 0; index < chunk.size(); ++index) {
      Bytes damaged = chunk;
      damaged[index] ^= std::byte{0x10};
      EXPECT_EQ(refusal_of(damaged, sha256(raw)), ErrorKind::corrupt) << index;
      EXPECT_EQ(check_chunk(damaged).error().kind, ErrorKind::corrupt) << index;
    }
  }
}

TEST(Chunk, IsCorruptWhenCutOrLengthened) {
  Bytes const raw = noise(10);
  Bytes const chunk = encoded(raw, Codec::raw);
  for (std::size_t size = 0; size < chunk.size(); ++size) {
    EXPECT_EQ(refusal_of(std::span(chunk).first(size), sha256(raw)), ErrorKind::corrupt);
  }
  Bytes longer = chunk;
  longer.push_back(std::byte{0});
  EXPECT_EQ(refusal_of(longer, sha256(raw)), ErrorKind::corrupt);
}

TEST(Chunk, IsCorruptUnderAnotherName) {
  EXPECT_EQ(refusal_of(encoded(copied("a"), Codec::raw), sha256("b")), ErrorKind::corrupt);
}

TEST(ChunkHeader, RefusesWhatItDoesNotKnow) {
  Bytes const chunk = encoded(noise(10), Codec::raw);
  auto const message_with = [&](std::size_t offset, std::uint16_t value) {
    Bytes changed = chunk;
    store_little_endian(std::span(changed), offset, value);
    auto const header = parse_chunk_header(changed);
    if (header.has_value()) return std::string("accepted");
    EXPECT_EQ(header.error().kind, ErrorKind::invalid);
    return header.error().message;
  };
  EXPECT_EQ(message_with(10, 0), "accepted");
  EXPECT_EQ(message_with(0, 0), "not a chunk: it does not begin with \"grvchunk\"");
  EXPECT_EQ(message_with(8, 2),
            "chunk: format version 2, this grove knows 1; update the older machine");
  EXPECT_EQ(message_with(10, 8), "chunk: unknown codec 8; update the older machine");
  EXPECT_EQ(message_with(22, 1), "chunk: its reserved bytes 20..23 are not zero");
}

TEST(ChunkHeader, BoundsItsLengths) {
  auto const is_accepted = [](Codec codec, std::uint64_t raw_bytes, std::uint64_t encoded_bytes) {
    Bytes header = encoded(noise(1), Codec::raw);
    store_little_endian(std::span(header), 10, static_cast<std::uint16_t>(codec));
    store_little_endian(std::span(header), 12, static_cast<std::uint32_t>(raw_bytes));
    store_little_endian(std::span(header), 16, static_cast<std::uint32_t>(encoded_bytes));
    return parse_chunk_header(header).has_value();
  };
  constexpr std::uint64_t max = limits::chunk_bytes_max;
  EXPECT_TRUE(is_accepted(Codec::raw, 1, 1));
  EXPECT_TRUE(is_accepted(Codec::raw, max, max));
  EXPECT_FALSE(is_accepted(Codec::raw, 0, 0));
  EXPECT_FALSE(is_accepted(Codec::raw, max + 1, max + 1));
  EXPECT_FALSE(is_accepted(Codec::raw, 10, 9));
  EXPECT_FALSE(is_accepted(Codec::raw, 10, 11));
  EXPECT_TRUE(is_accepted(Codec::zstd, max, max - 1));
  EXPECT_TRUE(is_accepted(Codec::zstd, 2, 1));
  EXPECT_FALSE(is_accepted(Codec::zstd, max, max));
  EXPECT_FALSE(is_accepted(Codec::zstd, 10, 0));
  EXPECT_FALSE(is_accepted(Codec::zstd, max + 1, 10));
  EXPECT_FALSE(is_accepted(Codec::zstd, 10, 0xffffffff));
}

TEST(ZstdChunk, HoldsOneFrameThatSaysItsSize) {
  Bytes const raw(1000, std::byte{7});
  EXPECT_EQ(decode(zstd_chunk(zstd_frame(raw), 1000), sha256(raw)).value(), raw);
  EXPECT_EQ(refusal_of(zstd_chunk(zstd_frame_without_size(raw), 1000), sha256(raw)),
            ErrorKind::corrupt);
}

TEST(ZstdChunk, RefusesAFrameOfAnotherSizeThanAnnounced) {
  Bytes const raw(1000, std::byte{7});
  EXPECT_EQ(refusal_of(zstd_chunk(zstd_frame(raw), 999), sha256(raw)), ErrorKind::corrupt);
  EXPECT_EQ(refusal_of(zstd_chunk(zstd_frame(raw), 1001), sha256(raw)), ErrorKind::corrupt);
  // A bomb: its size is known before any memory is taken.
  Bytes const large(64 * limits::mib, std::byte{0});
  EXPECT_EQ(refusal_of(zstd_chunk(zstd_frame(large), limits::chunk_bytes_max), sha256(large)),
            ErrorKind::corrupt);
}

TEST(ZstdChunk, RefusesWhatStandsBehindTheFrame) {
  Bytes const raw(1000, std::byte{7});
  Bytes payload = zstd_frame(raw);
  payload.push_back(std::byte{0});
  EXPECT_EQ(refusal_of(zstd_chunk(payload, 1000), sha256(raw)), ErrorKind::corrupt);
  Bytes two_frames = zstd_frame(raw);
  Bytes const empty_frame = zstd_frame({});
  two_frames.insert(two_frames.end(), empty_frame.begin(), empty_frame.end());
  EXPECT_EQ(refusal_of(zstd_chunk(two_frames, 1000), sha256(raw)), ErrorKind::corrupt);
}

TEST(ZstdChunk, RefusesAFrameWhoseBlocksLie) {
  Bytes const raw = noise(1000);
  Bytes payload = zstd_frame(Bytes(1000, std::byte{7}));
  EXPECT_EQ(refusal_of(zstd_chunk(payload, 1000), sha256(raw)), ErrorKind::corrupt);
  payload.back() ^= std::byte{0xff};
  EXPECT_EQ(refusal_of(zstd_chunk(payload, 1000), sha256(raw)), ErrorKind::corrupt);
  payload.resize(payload.size() - 3);
  EXPECT_EQ(refusal_of(zstd_chunk(payload, 1000), sha256(raw)), ErrorKind::corrupt);
}

}  // namespace
}  // namespace grove
