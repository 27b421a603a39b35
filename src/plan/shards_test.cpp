#include "plan/shards.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "format/shard_span.h"
#include "plan/golden_test.h"
#include "plan/layout_test.h"

namespace grove {

namespace {

std::vector<std::uint64_t> shard_sizes(FilePlan const& plan) {
  std::vector<std::uint64_t> sizes;
  for (ShardPlan const& shard : plan.shards) {
    sizes.push_back(shard.end - shard.begin);
  }
  return sizes;
}

std::vector<std::uint64_t> tensors_counts(FilePlan const& plan) {
  std::vector<std::uint64_t> counts;
  for (ShardPlan const& shard : plan.shards) {
    counts.push_back(shard.tensors_count);
  }
  return counts;
}

using Sizes = std::vector<std::uint64_t>;

// The smallest largest run, by trying every last cut.
std::uint64_t smallest_largest_by_force(Sizes const& sizes, std::uint32_t shards_count) {
  constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  Sizes best(sizes.size() + 1, never);  // of the first i tensors in so many shards
  best[0] = 0;
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    Sizes next(sizes.size() + 1, never);
    for (std::size_t end = 0; end <= sizes.size(); ++end) {
      std::uint64_t run = 0;
      for (std::size_t begin = end + 1; begin-- > 0;) {
        run += begin < end ? sizes[begin] : 0;
        if (best[begin] != never) {
          next[end] = std::min(next[end], std::max(best[begin], run));
        }
      }
    }
    best = next;
  }
  return best.back();
}

Manifest manifest_of(FilePlan const& plan) {
  Manifest manifest;
  manifest.header_bytes = plan.header_bytes;
  for (ShardPlan const& shard : plan.shards) {
    manifest.shards.push_back({shard.begin, shard.end, shard.tensors_count, Digest{}});
  }
  return manifest;
}

}  // namespace

TEST(Shards, AreCutAsTheGoldenTextSays) {
  Sizes sizes{1'000'000};  // an embedding, eight layers of four tensors, a norm
  for (int layer = 0; layer < 8; ++layer) {
    sizes.insert(sizes.end(), {250'000, 250'000, 1'000, 9'000'000});
  }
  sizes.push_back(500);
  expect_golden("shards_model_4.txt", plan_safetensors(layout_of(sizes), 4).text());
  expect_golden("shards_model_8.txt", plan_safetensors(layout_of(sizes), 8).text());
  expect_golden("shards_opaque_3.txt", plan_opaque(1'000'000, 3).text());
}

TEST(Shards, OneHugeTensorMakesOneBigShard) {
  EXPECT_EQ(shard_sizes(plan_safetensors(layout_of({1000}), 4)), (Sizes{1000, 0, 0, 0}));
  EXPECT_EQ(shard_sizes(plan_safetensors(layout_of({1, 1, 1000, 1}), 3)), (Sizes{2, 1000, 1}));
}

TEST(Shards, MoreShardsThanTensorsLeaveTheLastOnesEmpty) {
  FilePlan const plan = plan_safetensors(layout_of({5, 6}), 4);
  EXPECT_EQ(shard_sizes(plan), (Sizes{5, 6, 0, 0}));
  EXPECT_EQ(plan.shards[3].begin, 1011u);
  EXPECT_TRUE(plan.shards[3].chunks.empty());
}

TEST(Shards, AsManyTensorsAsShardsLeaveNoneEmpty) {
  // A greedy fill up to the largest size would put the small ones together.
  EXPECT_EQ(shard_sizes(plan_safetensors(layout_of({1, 1, 1, 100}), 4)), (Sizes{1, 1, 1, 100}));
  EXPECT_EQ(shard_sizes(plan_safetensors(layout_of({100, 1, 1, 1}), 4)), (Sizes{100, 1, 1, 1}));
}

TEST(Shards, AreEvenBelowTheLargest) {
  EXPECT_EQ(shard_sizes(plan_safetensors(layout_of({100, 10, 10, 10, 10, 10, 10}), 4)),
            (Sizes{100, 20, 20, 20}));
}

TEST(Shards, OfAFileWithoutTensorsAreAllEmpty) {
  FilePlan const plan = plan_safetensors(layout_of({}, 10), 3);
  EXPECT_EQ(shard_sizes(plan), (Sizes{0, 0, 0}));
  EXPECT_EQ(plan.file_bytes, 10u);
  EXPECT_EQ(plan.header_chunks, (std::vector<ChunkSlice>{{0, 10}}));
}

TEST(Shards, OwnTheZeroSizeTensorsInsideThem) {
  FilePlan const plan = plan_safetensors(layout_of({0, 10, 0, 0, 10, 0, 0}), 2);
  EXPECT_EQ(tensors_counts(plan), (Sizes{2, 5}));
}

TEST(Shards, TheLastNonEmptyOneOwnsTheZeroSizeTensorsAtTheEnd) {
  FilePlan const plan = plan_safetensors(layout_of({10, 0, 0}), 3);
  EXPECT_EQ(tensors_counts(plan), (Sizes{3, 0, 0}));
}

TEST(Shards, TheFirstOwnsEverythingWhereNothingHasBytes) {
  FilePlan const plan = plan_safetensors(layout_of({0, 0}), 3);
  EXPECT_EQ(tensors_counts(plan), (Sizes{2, 0, 0}));
}

// An exported shard's header names as many tensors as its plan counts.
TEST(Shards, CountTheTensorsThatTheExportedHeaderNames) {
  for (Sizes const& sizes : {Sizes{0, 10, 0, 0, 10, 0, 0}, Sizes{10, 0, 0}, Sizes{0, 0}, Sizes{},
                             Sizes{3, 0, 4, 0, 0, 5, 6, 0}}) {
    std::string json = "{";
    std::uint64_t offset = 0;
    for (std::size_t index = 0; index < sizes.size(); ++index) {
      json +=
          fmt::format(R"({}"t{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})",
                      index == 0 ? "" : ",", index, sizes[index], offset, offset + sizes[index]);
      offset += sizes[index];
    }
    json += "}";
    std::uint64_t const length = json.size();
    std::string header(sizeof length, '\0');
    std::memcpy(header.data(), &length, sizeof length);
    header += json;
    std::uint64_t const file_bytes = header.size() + offset;
    HeaderOpener const opener = [&]() -> Result<ByteReader> {
      return ByteReader{[&header, at = std::size_t{0}](
                            std::span<std::byte> bytes) mutable -> Result<std::size_t> {
        std::size_t const count = std::min(bytes.size(), header.size() - at);
        std::memcpy(bytes.data(), header.data() + at, count);
        at += count;
        return count;
      }};
    };
    auto const layout = parse_safetensors(opener().value(), file_bytes);
    ASSERT_TRUE(layout) << layout.error().message;
    FilePlan const plan = plan_safetensors(layout.value(), 3);
    for (std::uint32_t shard = 0; shard < plan.shards.size(); ++shard) {
      std::string written;
      auto const wrote =
          write_shard_header(opener, file_bytes, shard_span(manifest_of(plan), ShardIndex{shard}),
                             [&](std::span<std::byte const> bytes) -> Result<void> {
                               written.append(text_of(bytes));
                               return ok();
                             });
      ASSERT_TRUE(wrote) << wrote.error().message;
      std::uint64_t named = 0;
      for (std::size_t at = written.find("data_offsets"); at != std::string::npos;
           at = written.find("data_offsets", at + 1)) {
        ++named;
      }
      EXPECT_EQ(named, plan.shards[shard].tensors_count) << json << " shard " << shard;
    }
  }
}

class ShardsOfRandomFiles : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ShardsOfRandomFiles, HaveTheSmallestLargestAndFollowOneAnother) {
  std::mt19937_64 random(GetParam());
  for (int round = 0; round < 100; ++round) {
    Sizes const sizes = random_sizes(random, random() % 13, 1 + random() % 40);
    auto const with_bytes = std::ranges::count_if(sizes, [](auto size) { return size > 0; });
    for (std::uint32_t shards_count = 1; shards_count <= 9; ++shards_count) {
      FilePlan const plan = plan_safetensors(layout_of(sizes), shards_count);
      ASSERT_EQ(plan.shards.size(), shards_count);
      EXPECT_EQ(std::ranges::max(shard_sizes(plan)), smallest_largest_by_force(sizes, shards_count))
          << plan.text();
      std::uint64_t at = plan.header_bytes;
      std::uint64_t tensors = 0;
      std::int64_t empty = 0;
      for (ShardPlan const& shard : plan.shards) {
        EXPECT_EQ(shard.begin, at);
        at = shard.end;
        tensors += shard.tensors_count;
        empty += shard.begin == shard.end ? 1 : 0;
      }
      EXPECT_EQ(at, plan.file_bytes);
      EXPECT_EQ(tensors, sizes.size());
      EXPECT_EQ(empty, std::max<std::int64_t>(0, shards_count - with_bytes)) << plan.text();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ShardsOfRandomFiles, testing::Values(1, 2, 3));

TEST(Shards, OfAHeaderOfAHundredMegabytesArePlanned) {
  // About the most tensors that fit in 100 MB of header. A slow plan shows as a slow test.
  std::vector<std::uint64_t> const sizes(1'600'000, 48 * limits::kib);
  FilePlan const plan = plan_safetensors(layout_of(sizes), 7);
  EXPECT_EQ(std::ranges::max(shard_sizes(plan)), 228'572 * 48 * limits::kib);
  EXPECT_EQ(plan.tensors_count, 1'600'000u);
}

TEST(Shards, MayBeAsManyAsTheLimitAllows) {
  FilePlan const plan = plan_safetensors(layout_of(Sizes(10'000, 7)), limits::shards_count_max);
  EXPECT_EQ(std::ranges::max(shard_sizes(plan)), 21u);
  EXPECT_EQ(std::ranges::min(shard_sizes(plan)), 14u);
}

TEST(Shards, OfOpaqueFilesAreEqualRanges) {
  EXPECT_EQ(shard_sizes(plan_opaque(10, 4)), (Sizes{2, 3, 2, 3}));
  EXPECT_EQ(shard_sizes(plan_opaque(2, 3)), (Sizes{0, 1, 1}));
  EXPECT_EQ(shard_sizes(plan_opaque(0, 3)), (Sizes{0, 0, 0}));
  EXPECT_TRUE(plan_opaque(0, 3).header_chunks.empty());
}

TEST(Shards, OfOpaqueFilesDoNotOverflow) {
  std::uint64_t const file_bytes = (std::uint64_t{1} << 40) + 12'345;
  FilePlan const plan = plan_opaque(file_bytes, limits::shards_count_max);
  for (std::uint32_t shard = 0; shard < limits::shards_count_max; ++shard) {
    auto const border = [&](std::uint32_t index) {
      return static_cast<std::uint64_t>(static_cast<unsigned __int128>(file_bytes) * index /
                                        limits::shards_count_max);
    };
    EXPECT_EQ(plan.shards[shard].begin, border(shard));
    EXPECT_EQ(plan.shards[shard].end, border(shard + 1));
  }
}

}  // namespace grove
