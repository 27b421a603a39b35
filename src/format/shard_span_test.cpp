#include "format/shard_span.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

Manifest manifest_of(std::vector<ShardEntry> shards) {
  Manifest manifest;
  manifest.header_bytes = 100;
  manifest.shards = std::move(shards);
  return manifest;
}

TEST(ShardSpan, IsRelativeToTheEndOfTheHeader) {
  auto const manifest = manifest_of({{.begin = 100, .end = 140}, {.begin = 140, .end = 200}});
  EXPECT_EQ(shard_span(manifest, ShardIndex{1}).begin, 40u);
  EXPECT_EQ(shard_span(manifest, ShardIndex{1}).end, 100u);
}

TEST(ShardSpan, GivesTheEndToTheLastShardThatIsNotEmpty) {
  auto const manifest = manifest_of(
      {{.begin = 100, .end = 140}, {.begin = 140, .end = 200}, {.begin = 200, .end = 200}});
  EXPECT_FALSE(shard_span(manifest, ShardIndex{0}).is_last_nonempty);
  EXPECT_TRUE(shard_span(manifest, ShardIndex{1}).is_last_nonempty);
  EXPECT_FALSE(shard_span(manifest, ShardIndex{2}).is_last_nonempty);
}

TEST(ShardSpan, GivesTheEndToTheFirstShardWhereAllAreEmpty) {
  auto const manifest = manifest_of({{.begin = 100, .end = 100}, {.begin = 100, .end = 100}});
  EXPECT_TRUE(shard_span(manifest, ShardIndex{0}).is_last_nonempty);
  EXPECT_FALSE(shard_span(manifest, ShardIndex{1}).is_last_nonempty);
}

}  // namespace
}  // namespace grove
