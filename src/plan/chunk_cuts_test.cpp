// How plan/shards.h cuts chunks; where it cuts shards is in shards_test.cpp.
#include <random>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "plan/layout_test.h"
#include "plan/shards.h"

namespace grove {

namespace {

using limits::chunk_bytes_max;
using limits::group_bytes_max;
using limits::kib;
using limits::mib;
using Slices = std::vector<ChunkSlice>;

// The chunks of a file's shards with those that two neighbours share taken once.
Slices all_chunks(FilePlan const& plan) {
  Slices all;
  for (ShardPlan const& shard : plan.shards) {
    for (ChunkSlice const& chunk : shard.chunks) {
      if (all.empty() || all.back() != chunk) {
        all.push_back(chunk);
      }
    }
  }
  return all;
}

// Each shard's chunks cover it, follow one another, and all have bytes in it.
void expect_sound(FilePlan const& plan) {
  for (ShardPlan const& shard : plan.shards) {
    if (shard.begin == shard.end) {
      EXPECT_TRUE(shard.chunks.empty());
      continue;
    }
    ASSERT_FALSE(shard.chunks.empty());
    EXPECT_LE(shard.chunks.front().offset, shard.begin);
    EXPECT_GT(shard.chunks.front().offset + shard.chunks.front().bytes, shard.begin);
    EXPECT_LT(shard.chunks.back().offset, shard.end);
    std::uint64_t at = shard.chunks.front().offset;
    for (ChunkSlice const& chunk : shard.chunks) {
      EXPECT_EQ(chunk.offset, at);
      EXPECT_GE(chunk.bytes, 1u);
      EXPECT_LE(chunk.bytes, chunk_bytes_max);
      at += chunk.bytes;
    }
    EXPECT_GE(at, shard.end);
  }
}

Slices chunks_of(std::vector<std::uint64_t> const& sizes) {
  return all_chunks(plan_safetensors(layout_of(sizes, 0), 1));
}

}  // namespace

TEST(ChunkCuts, GroupSmallNeighboursUpToTheLimitAndNotBeyond) {
  EXPECT_EQ(chunks_of({group_bytes_max - 1, 1}), (Slices{{0, 64 * kib}}));
  EXPECT_EQ(chunks_of({group_bytes_max - 1, 2}), (Slices{{0, 64 * kib - 1}, {64 * kib - 1, 2}}));
}

TEST(ChunkCuts, TakeATensorOfTheGroupLimitAlone) {
  EXPECT_EQ(chunks_of({1, group_bytes_max, 1}), (Slices{{0, 1}, {1, 64 * kib}, {64 * kib + 1, 1}}));
  EXPECT_EQ(chunks_of({1, group_bytes_max - 1}), (Slices{{0, 64 * kib}}));
}

TEST(ChunkCuts, CutLargeTensorsFromTheirOwnStart) {
  EXPECT_EQ(chunks_of({10, chunk_bytes_max}), (Slices{{0, 10}, {10, 4 * mib}}));
  EXPECT_EQ(chunks_of({10, chunk_bytes_max + 1}),
            (Slices{{0, 10}, {10, 4 * mib}, {4 * mib + 10, 1}}));
}

TEST(ChunkCuts, ZeroSizeTensorsChangeNothing) {
  EXPECT_EQ(chunks_of({0, 10, 0, 20, 0, 100'000, 0}), chunks_of({10, 20, 100'000}));
}

TEST(ChunkCuts, AChunkThatABorderCutsThroughIsInBothLists) {
  FilePlan const plan = plan_safetensors(layout_of({10, 10}, 100), 2);
  EXPECT_EQ(plan.shards[0].end, 110u);
  EXPECT_EQ(plan.shards[0].chunks, (Slices{{100, 20}}));
  EXPECT_EQ(plan.shards[1].chunks, (Slices{{100, 20}}));
}

TEST(ChunkCuts, SayWhatKindOfValuesTheyHoldWhereItIsOneKind) {
  auto layout = layout_of({10, 0, 20, 100'000, 30, 40, chunk_bytes_max + 1}, 5'000'000);
  std::vector<ValueType> const values{ValueType::f32,  ValueType::i64,  ValueType::f32,
                                      ValueType::bf16, ValueType::bf16, ValueType::f32,
                                      ValueType::f16};
  for (std::size_t tensor = 0; tensor < values.size(); ++tensor) {
    layout.tensors[tensor].values = values[tensor];
  }
  FilePlan const plan = plan_safetensors(layout, 1);
  std::vector<ValueType> found;
  for (ChunkSlice const& chunk : plan.shards[0].chunks) {
    found.push_back(chunk.values);
  }
  // Two of F32 with an empty one of I64 between them; a large one; two of different kinds.
  EXPECT_EQ(found, (std::vector<ValueType>{ValueType::f32, ValueType::bf16, ValueType::unknown,
                                           ValueType::f16, ValueType::f16}));
  EXPECT_EQ(plan.header_chunks[0].values, ValueType::unknown);
  EXPECT_EQ(plan_opaque(100, 1).shards[0].chunks[0].values, ValueType::unknown);
}

TEST(ChunkCuts, StartAnewWithTheKindOfEveryGroup) {
  auto layout = layout_of({60 * kib, 60 * kib, 2 * kib});
  layout.tensors[0].values = ValueType::f32;
  layout.tensors[1].values = ValueType::bf16;
  layout.tensors[2].values = ValueType::bf16;
  auto const chunks = all_chunks(plan_safetensors(layout, 2));
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].values, ValueType::f32);
  EXPECT_EQ(chunks[1].values, ValueType::bf16);
}

TEST(ChunkCuts, HeadersLieOnAGrid) {
  EXPECT_EQ(plan_safetensors(layout_of({}, 4 * mib), 1).header_chunks, (Slices{{0, 4 * mib}}));
  EXPECT_EQ(plan_safetensors(layout_of({}, 4 * mib + 1), 1).header_chunks,
            (Slices{{0, 4 * mib}, {4 * mib, 1}}));
}

TEST(ChunkCuts, OpaqueFilesHaveAGridThatGrowsWithThem) {
  auto const step = [](std::uint64_t file_bytes) {
    return plan_opaque(file_bytes, 1).shards[0].chunks[0].bytes;
  };
  EXPECT_EQ(step(1), 1u);
  EXPECT_EQ(step(64 * kib), 64 * kib);
  EXPECT_EQ(step(128 * mib - 1), 64 * kib);
  EXPECT_EQ(step(128 * mib), 128 * kib);
  EXPECT_EQ(step(4096 * mib - 1), 2 * mib);
  EXPECT_EQ(step(4096 * mib), 4 * mib);
  EXPECT_EQ(step(100'000 * mib), 4 * mib);
}

TEST(ChunkCuts, OpaqueChunksIgnoreTheNumberOfShards) {
  for (std::uint64_t const file_bytes : {0UL, 1UL, 5UL, 65'536UL, 65'537UL, 1'000'000UL}) {
    Slices const alone = all_chunks(plan_opaque(file_bytes, 1));
    for (std::uint32_t shards_count = 1; shards_count <= 9; ++shards_count) {
      FilePlan const plan = plan_opaque(file_bytes, shards_count);
      expect_sound(plan);
      EXPECT_EQ(all_chunks(plan), alone) << plan.text();
    }
  }
}

class ChunkCutsOfRandomFiles : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ChunkCutsOfRandomFiles, IgnoreTheNumberOfShardsAndCoverEverything) {
  std::mt19937_64 random(GetParam());
  for (std::uint64_t const bytes_max : {100UL, 70'000UL, 200'000UL, 10'000'000UL}) {
    auto const layout = layout_of(random_sizes(random, random() % 60, bytes_max));
    Slices const alone = all_chunks(plan_safetensors(layout, 1));
    std::uint64_t total = 0;
    for (ChunkSlice const& chunk : alone) {
      total += chunk.bytes;
    }
    EXPECT_EQ(total, layout.data_bytes);
    for (std::uint32_t shards_count = 1; shards_count <= 9; ++shards_count) {
      FilePlan const plan = plan_safetensors(layout, shards_count);
      expect_sound(plan);
      EXPECT_EQ(all_chunks(plan), alone) << plan.text();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChunkCutsOfRandomFiles, testing::Range<std::uint64_t>(1, 11));

}  // namespace grove
