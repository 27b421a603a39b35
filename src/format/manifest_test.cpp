#include "format/manifest.h"

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/limits.h"

namespace grove {
namespace {

Digest digest_of(std::string_view text) {
  return sha256(text);
}

Manifest example_manifest() {
  return {.identity = "run1/step_100/model.safetensors",
          .generation = Generation{1760000000000},
          .kind = CheckpointKind::safetensors,
          .file_bytes = 1000,
          .header_bytes = 104,
          .tensors_count = 3,
          .mtime_ns = 1760000000123456789,
          .mode = 0644,
          .redundancy = 2,
          .sha256 = digest_of("file"),
          .header_list = digest_of("header"),
          .shards = {{.begin = 104, .end = 600, .tensors_count = 2, .list = digest_of("0")},
                     {.begin = 600, .end = 1000, .tensors_count = 1, .list = digest_of("1")}}};
}

std::string refusal_of(std::string_view json) {
  auto const manifest = parse_manifest(bytes_of(json));
  if (manifest.has_value()) return "accepted";
  EXPECT_EQ(manifest.error().kind, ErrorKind::invalid);
  EXPECT_EQ(manifest.error().message.find('\n'), std::string::npos);
  return manifest.error().message;
}

// The example's JSON with one place changed.
std::string changed(std::string_view from, std::string_view to) {
  std::string json = serialize(example_manifest());
  std::size_t const offset = json.find(from);
  EXPECT_NE(offset, std::string::npos) << from;
  return json.replace(offset, from.size(), to);
}

TEST(Manifest, IsGivenBackAsItWas) {
  EXPECT_EQ(parse_manifest(bytes_of(serialize(example_manifest()))).value(), example_manifest());
}

TEST(Manifest, KeepsTheExtremesOfItsNumbers) {
  Manifest manifest = example_manifest();
  manifest.kind = CheckpointKind::opaque;
  manifest.generation.value = std::numeric_limits<std::uint64_t>::max();
  manifest.header_bytes = 0;
  manifest.file_bytes = std::numeric_limits<std::uint64_t>::max();
  manifest.shards = {{.end = manifest.file_bytes}};
  manifest.mode = std::numeric_limits<std::uint32_t>::max();
  for (auto const mtime_ns : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                              std::numeric_limits<std::int64_t>::max()}) {
    manifest.mtime_ns = mtime_ns;
    EXPECT_EQ(parse_manifest(bytes_of(serialize(manifest))).value(), manifest);
  }
}

TEST(Manifest, KeepsAnIdentityWithQuotesAndBackslashes) {
  Manifest manifest = example_manifest();
  manifest.identity = "a\\b/\"模型\"🙂.pt";
  EXPECT_EQ(parse_manifest(bytes_of(serialize(manifest))).value(), manifest);
}

TEST(Manifest, IsTheJsonThatAnyParserReadsAndSorts) {
  std::string const text = serialize(example_manifest());
  auto const json = nlohmann::json::parse(text);
  EXPECT_EQ(json.dump(), text);
  EXPECT_EQ(json["identity"], "run1/step_100/model.safetensors");
  EXPECT_EQ(json["shards"][1]["list"], digest_of("1").hex());
}

TEST(Manifest, HasOneSpellingOnly) {
  for (auto const& json :
       {changed(",\"mode\"", ", \"mode\""), changed("\"file_bytes\":1000", "\"file_bytes\":01000"),
        changed("\"file_bytes\":1000", "\"file_bytes\":+1000"),
        changed("\"file_bytes\":1000", "\"file_bytes\":1e3"),
        changed("\"file_bytes\":1000", "\"file_bytes\":1000.0"),
        changed("\"mtime_ns\":1760000000123456789", "\"mtime_ns\":-0"), changed("run1/", "run1\\/"),
        changed("run1/", "r\\u0075n1/"), changed("{\"file_bytes\"", " {\"file_bytes\""),
        serialize(example_manifest()) + "\n"}) {
    EXPECT_NE(refusal_of(json), "accepted") << json;
  }
  std::string upper = digest_of("file").hex();
  upper.replace(0, 1, "A");
  EXPECT_NE(refusal_of(changed(digest_of("file").hex(), upper)), "accepted");
}

TEST(Manifest, RefusesMissingUnknownAndRepeatedKeys) {
  EXPECT_EQ(refusal_of(changed("\"mode\":420,", "")),
            "manifest: expected ,\"mode\": at byte 211, found \",\\\"mtime_ns\\\":17600000\"");
  EXPECT_NE(refusal_of(changed("\"mode\":420,", "\"mode\":420,\"more\":1,")), "accepted");
  EXPECT_NE(refusal_of(changed("\"mode\":420,", "\"mode\":420,\"mode\":420,")), "accepted");
}

TEST(Manifest, RefusesNumbersThatDoNotFit) {
  EXPECT_NE(refusal_of(changed("\"file_bytes\":1000", "\"file_bytes\":18446744073709551616")),
            "accepted");
  EXPECT_NE(refusal_of(changed("\"file_bytes\":1000", "\"file_bytes\":-1")), "accepted");
  EXPECT_EQ(refusal_of(changed("\"mode\":420", "\"mode\":4294967295")), "accepted");
  EXPECT_NE(refusal_of(changed("\"mode\":420", "\"mode\":4294967296")), "accepted");
  EXPECT_NE(refusal_of(changed(":1760000000123456789", ":9223372036854775808")), "accepted");
}

TEST(Manifest, IsNotCutAtAnyByte) {
  std::string const json = serialize(example_manifest());
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_NE(refusal_of(std::string_view(json).substr(0, size)), "accepted");
  }
}

TEST(Manifest, RefusesAnotherVersion) {
  EXPECT_EQ(refusal_of(changed("\"version\":1}", "\"version\":2}")),
            "manifest: damaged, or not of format version 1; update the machine with the older "
            "grove");
}

TEST(Manifest, RefusesAHostileIdentity) {
  for (std::string_view const identity : {"../x", "/x", "", "a//b", "a/.."}) {
    EXPECT_NE(refusal_of(changed("run1/step_100/model.safetensors", identity)), "accepted");
  }
  EXPECT_NE(refusal_of(changed("run1/", "run\n1/")), "accepted");
  EXPECT_NE(refusal_of(changed("run1/", "run\xff/")), "accepted");
}

TEST(Manifest, RefusesAnUnknownKind) {
  EXPECT_NE(refusal_of(changed("\"safetensors\"", "\"zip\"")), "accepted");
}

TEST(Manifest, HasShardsThatFollowOneAnotherFromHeaderToEnd) {
  auto const refusal = [](auto const& change) {
    Manifest manifest = example_manifest();
    change(manifest);
    return refusal_of(serialize(manifest));
  };
  EXPECT_EQ(refusal([](Manifest& manifest) { manifest.shards[0].begin = 105; }),
            "manifest: shard 0 is [105,600), it must begin at 104");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.shards[0].end = 599; }), "accepted");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.shards[1].begin = 599; }), "accepted");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.shards[1].end = 500; }), "accepted");
  EXPECT_EQ(refusal([](Manifest& manifest) { manifest.file_bytes = 1001; }),
            "manifest: its shards end at 1000, the file at 1001");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.header_bytes = 0; }), "accepted");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.kind = CheckpointKind::opaque; }),
            "accepted");
  EXPECT_NE(refusal([](Manifest& manifest) { manifest.shards.clear(); }), "accepted");
  EXPECT_EQ(
      refusal([](Manifest& manifest) { manifest.shards.push_back({.begin = 1000, .end = 1000}); }),
      "accepted");
}

TEST(Manifest, MayHaveAsManyShardsAsTheLimitAndNoMore) {
  Manifest manifest = example_manifest();
  manifest.shards.resize(limits::shards_count_max, {.begin = 1000, .end = 1000});
  EXPECT_EQ(refusal_of(serialize(manifest)), "accepted");
  manifest.shards.push_back({.begin = 1000, .end = 1000});
  EXPECT_EQ(refusal_of(serialize(manifest)), "manifest: more than 4096 shards");
}

TEST(Manifest, RefusesToReadMoreThanTheLimit) {
  EXPECT_EQ(refusal_of(std::string(limits::manifest_bytes_max + 1, ' ')),
            "manifest: 4194305 bytes long, at most 4194304 are possible");
}

TEST(Manifest, HasTheSameContentWheneverItWasStored) {
  Manifest later = example_manifest();
  later.generation.value += 1;
  later.mtime_ns += 1;
  later.redundancy += 1;
  EXPECT_TRUE(example_manifest().same_content(later));
  later.shards[0].list = digest_of("other");
  EXPECT_FALSE(example_manifest().same_content(later));
}

ShardList example_list() {
  return {.file_offset = 104,
          .chunks = {{.digest = digest_of("a"), .raw_bytes = 1},
                     {.digest = digest_of("b"), .raw_bytes = limits::chunk_bytes_max}}};
}

std::vector<std::byte> list_bytes(ShardList const& list) {
  Buffer const buffer = serialize(list);
  return {buffer.span().begin(), buffer.span().end()};
}

ErrorKind list_refusal_of(std::span<std::byte const> bytes) {
  auto const list = parse_shard_list(bytes);
  EXPECT_TRUE(list.has_error());
  return list.has_error() ? list.error().kind : ErrorKind::internal;
}

TEST(ShardList, IsGivenBackAsItWas) {
  EXPECT_EQ(parse_shard_list(list_bytes(example_list())).value(), example_list());
  EXPECT_EQ(parse_shard_list(list_bytes({})).value(), ShardList{});
  EXPECT_EQ(list_bytes(example_list()).size(), 24u + 2 * 36u);
  EXPECT_EQ(example_list().bytes(), 1 + limits::chunk_bytes_max);
}

TEST(ShardList, RefusesAnotherLengthThanItsCount) {
  auto bytes = list_bytes(example_list());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(list_refusal_of(std::span(bytes).first(size)), ErrorKind::invalid);
  }
  bytes.push_back(std::byte{0});
  EXPECT_EQ(list_refusal_of(bytes), ErrorKind::invalid);
}

TEST(ShardList, RefusesAnotherMagicAndVersion) {
  for (std::size_t const offset : {0, 8}) {
    auto bytes = list_bytes(example_list());
    bytes[offset] ^= std::byte{2};
    EXPECT_EQ(list_refusal_of(bytes), ErrorKind::invalid);
  }
}

TEST(ShardList, RefusesChunksOfNoSizeAndOverLongOnes) {
  for (std::uint64_t const raw_bytes : {std::uint64_t{0}, limits::chunk_bytes_max + 1}) {
    ShardList list = example_list();
    list.chunks[1].raw_bytes = static_cast<std::uint32_t>(raw_bytes);
    EXPECT_EQ(list_refusal_of(list_bytes(list)), ErrorKind::invalid);
  }
}

TEST(ShardList, EndsWithinSixtyFourBits) {
  ShardList list = example_list();
  list.file_offset = std::numeric_limits<std::uint64_t>::max() - list.bytes();
  EXPECT_TRUE(parse_shard_list(list_bytes(list)).has_value());
  list.file_offset += 1;
  EXPECT_EQ(list_refusal_of(list_bytes(list)), ErrorKind::invalid);
}

TEST(ShardList, MayBeAsLongAsTheLimitAndNoLonger) {
  constexpr std::size_t count_max = (limits::list_bytes_max - 24) / 36;
  ShardList list{.chunks = std::vector<ChunkRef>(count_max, {.raw_bytes = 1})};
  auto bytes = list_bytes(list);
  EXPECT_TRUE(parse_shard_list(bytes).has_value());
  bytes.resize(limits::list_bytes_max + 1);
  EXPECT_EQ(parse_shard_list(bytes).error().message.substr(0, 32),
            "shard list: 67108865 bytes long,");
}

}  // namespace
}  // namespace grove
