#include "plan/delta_base.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {

namespace {

using limits::chunk_bytes_max;
using limits::kib;

struct Tensor {
  std::string what;  // name, dtype and shape
  std::uint64_t bytes = 0;
};

// A file of these tensors: its layout, and what its chunks would be called.
struct StoredFile {
  SafetensorsLayout layout;
  FilePlan plan;
  std::vector<ShardList> lists;
  std::map<Digest, std::string> places;  // of each chunk: "step_1 1000+70000"

  StoredFile(std::string_view name, std::vector<Tensor> const& tensors,
             std::uint32_t shards_count = 2, std::uint64_t header_bytes = 1000) {
    layout.header_bytes = header_bytes;
    for (Tensor const& tensor : tensors) {
      layout.tensors.push_back({.span = {layout.data_bytes, layout.data_bytes + tensor.bytes},
                                .fingerprint = std::hash<std::string>{}(tensor.what)});
      layout.data_bytes += tensor.bytes;
    }
    plan = plan_safetensors(layout, shards_count);
    for (ShardPlan const& shard : plan.shards) {
      ShardList list{.file_offset = shard.chunks.empty() ? shard.begin : shard.chunks[0].offset};
      for (ChunkSlice const& chunk : shard.chunks) {
        auto const place = fmt::format("{} {}+{}", name, chunk.offset, chunk.bytes);
        list.chunks.push_back({.digest = sha256(place), .raw_bytes = chunk.bytes});
        places[sha256(place)] = place;
      }
      lists.push_back(std::move(list));
    }
  }

  // Each chunk once.
  std::vector<ChunkSlice> chunks() const {
    std::vector<ChunkSlice> all;
    for (ShardPlan const& shard : plan.shards) {
      for (ChunkSlice const& chunk : shard.chunks) {
        if (all.empty() || all.back() != chunk) {
          all.push_back(chunk);
        }
      }
    }
    return all;
  }
};

// For each chunk of `later` what it is paired with, "-" for nothing.
std::vector<std::string> pairs_of(StoredFile const& later, StoredFile const& earlier) {
  DeltaPairs const pairs(later.layout, earlier.layout, earlier.lists);
  std::vector<std::string> found;
  for (ChunkSlice const& chunk : later.chunks()) {
    auto const base = pairs.find(chunk);
    if (!base) {
      found.push_back("-");
      continue;
    }
    EXPECT_EQ(base->raw_bytes, chunk.bytes);
    auto const& place = earlier.places.at(base->digest);
    EXPECT_TRUE(place.ends_with(fmt::format(" {}+{}", base->file_offset, base->raw_bytes)));
    found.push_back(place);
  }
  return found;
}

using Places = std::vector<std::string>;

}  // namespace

TEST(DeltaPairs, PairWhatLiesAtTheSamePlaceOfTheSameTensor) {
  std::vector<Tensor> const tensors{{"a", 100}, {"b", chunk_bytes_max + 5}, {"c", 70'000}};
  StoredFile const earlier("old", tensors, 2, 900);
  StoredFile const later("new", tensors, 3, 1000);
  EXPECT_EQ(pairs_of(later, earlier),
            (Places{"old 900+100", "old 1000+4194304", "old 4195304+5", "old 4195309+70000"}));
}

TEST(DeltaPairs, FollowTensorsThatHaveMoved) {
  StoredFile const earlier("old", {{"a", 70'000}, {"b", 80'000}, {"c", 90'000}});
  StoredFile const later("new", {{"c", 90'000}, {"new", 66'000}, {"a", 70'000}, {"b", 80'000}});
  EXPECT_EQ(pairs_of(later, earlier),
            (Places{"old 151000+90000", "-", "old 1000+70000", "old 71000+80000"}));
}

TEST(DeltaPairs, LeaveOutTensorsOfAnotherShape) {
  StoredFile const earlier("old", {{"a [7]", 70'000}, {"b [8]", 80'000}, {"c [9]", 90'000}});
  StoredFile const later("new", {{"a [7]", 70'000}, {"b [4,2]", 80'000}, {"c [9]", 90'000}});
  EXPECT_EQ(pairs_of(later, earlier), (Places{"old 1000+70000", "-", "old 151000+90000"}));
}

TEST(DeltaPairs, TakeNoTensorOfAnotherLengthForTheSame) {
  // Two fingerprints that are equal by chance.
  StoredFile const earlier("old", {{"a", 70'000}});
  StoredFile const later("new", {{"a", 70'001}});
  EXPECT_EQ(pairs_of(later, earlier), (Places{"-"}));
}

TEST(DeltaPairs, PairGroupsOfWhichAllTensorsMovedTogether) {
  StoredFile const earlier("old", {{"x", 70'000}, {"a", 100}, {"empty", 0}, {"b", 200}});
  StoredFile const later("new", {{"a", 100}, {"b", 200}, {"empty", 0}, {"x", 70'000}});
  EXPECT_EQ(pairs_of(later, earlier), (Places{"old 71000+300", "old 1000+70000"}));
}

TEST(DeltaPairs, LeaveOutGroupsOfWhichOneTensorIsAnother) {
  StoredFile const earlier("old", {{"a", 100}, {"b", 200}, {"c", 300}});
  EXPECT_EQ(pairs_of(StoredFile("new", {{"a", 100}, {"B", 200}, {"c", 300}}), earlier),
            (Places{"-"}));
  EXPECT_EQ(pairs_of(StoredFile("new", {{"b", 200}, {"a", 100}, {"c", 300}}), earlier),
            (Places{"-"}));
  EXPECT_EQ(pairs_of(StoredFile("new", {{"a", 100}, {"b", 200}}), earlier), (Places{"-"}));
  EXPECT_EQ(pairs_of(StoredFile("new", {{"a", 100}, {"b", 200}, {"c", 300}, {"d", 400}}), earlier),
            (Places{"-"}));
}

TEST(DeltaPairs, LeaveOutWhatWasCutOtherwise) {
  StoredFile const earlier("old", {{"a", 70'000}, {"b", 80'000}});
  StoredFile const later("new", {{"a", 70'000}, {"b", 80'000}});
  std::vector<ShardList> const otherwise{
      {.file_offset = 1000, .chunks = {{sha256("1"), 60'000}, {sha256("2"), 90'000}}}};
  DeltaPairs const pairs(later.layout, earlier.layout, otherwise);
  for (ChunkSlice const& chunk : later.chunks()) {
    EXPECT_FALSE(pairs.find(chunk));
  }
}

TEST(DeltaPairs, TakeBorderChunksOfTwoShardsOnceAndListsInAnyOrder) {
  std::vector<Tensor> const tensors{{"a", 10}, {"b", 10}, {"c", 70'000}};
  StoredFile earlier("old", tensors, 3);
  ASSERT_EQ(earlier.lists[0].chunks, earlier.lists[1].chunks);
  std::ranges::reverse(earlier.lists);
  EXPECT_EQ(pairs_of(StoredFile("new", tensors, 1), earlier),
            (Places{"old 1000+20", "old 1020+70000"}));
}

TEST(DeltaPairs, DoWithTheListsThatThereAre) {
  std::vector<Tensor> const tensors{{"a", 70'000}, {"b", 80'000}};
  StoredFile earlier("old", tensors, 2);
  earlier.lists.erase(earlier.lists.begin());
  EXPECT_EQ(pairs_of(StoredFile("new", tensors), earlier), (Places{"-", "old 71000+80000"}));
  earlier.lists.clear();
  EXPECT_EQ(pairs_of(StoredFile("new", tensors), earlier), (Places{"-", "-"}));
}

TEST(DeltaPairs, PairNoHeaders) {
  StoredFile const earlier("old", {{"a", 70'000}});
  StoredFile const later("new", {{"a", 70'000}});
  DeltaPairs const pairs(later.layout, earlier.layout, earlier.lists);
  EXPECT_FALSE(pairs.find(later.plan.header_chunks[0]));
  EXPECT_FALSE(pairs.find({.offset = later.plan.file_bytes, .bytes = 1}));
  EXPECT_FALSE(pairs.is_empty());
  EXPECT_TRUE(DeltaPairs(later.layout, SafetensorsLayout(), {}).is_empty());
}

// Offsets in lists from another machine may be anything that parses.
TEST(DeltaPairs, BearListsOfOffsetsBeyondAnyFile) {
  StoredFile const later("new", {{"a", 70'000}});
  std::vector<ShardList> const lists{
      {.file_offset = UINT64_MAX - 5, .chunks = {{sha256("1"), 5}, {sha256("2"), 70'000}}}};
  DeltaPairs const pairs(later.layout, later.layout, lists);
  EXPECT_FALSE(pairs.find(later.chunks()[0]));
}

TEST(DeltaPairs, NumberTensorsAndCountSmallNeighboursAsOne) {
  StoredFile const later("new", {{"s", 1},
                                 {"t", 60'000},
                                 {"u", 60'000},
                                 {"big", 2 * chunk_bytes_max},
                                 {"bigger", chunk_bytes_max + 1},
                                 {"v", 7},
                                 {"w", 64 * kib}});
  DeltaPairs const pairs(later.layout, later.layout, later.lists);
  std::vector<std::size_t> numbers;
  for (ChunkSlice const& chunk : later.chunks()) {
    numbers.push_back(pairs.tensor_of(chunk));
  }
  EXPECT_EQ(numbers, (std::vector<std::size_t>{0, 0, 1, 1, 2, 2, 3, 4}));
  EXPECT_EQ(pairs.tensors_count(), 5u);
}

class DeltaPairsOfRandomFiles : public testing::TestWithParam<std::uint64_t> {};

// Against the plain meaning of it: for every byte of a chunk the same byte of the same tensor.
TEST_P(DeltaPairsOfRandomFiles, AreThoseThatEveryByteAgreesOn) {
  std::mt19937_64 random(GetParam());
  std::size_t paired_count = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<Tensor> tensors;
    for (std::size_t index = 0; index < 2 + random() % 12; ++index) {
      std::uint64_t const bytes = random() % 3 == 0   ? random() % 3
                                  : random() % 3 == 0 ? 70'000 + random() % 9
                                                      : 20'000 + random() % 9;
      tensors.push_back({fmt::format("t{}", index), bytes});
    }
    StoredFile const earlier("old", tensors, 1 + random() % 4);
    for (std::uint64_t changes = random() % 4; changes > 0; --changes) {
      std::size_t const at = random() % tensors.size();
      if (random() % 3 == 0) {
        tensors[at].what += "'";
      } else {
        std::swap(tensors[at], tensors[random() % tensors.size()]);
      }
    }
    StoredFile const later("new", tensors, 1 + random() % 4, 2000);
    // Where each byte of the data of `later` was in `earlier`; 0: nowhere.
    std::vector<std::uint64_t> was_at(later.plan.file_bytes);
    for (LayoutTensor const& tensor : later.layout.tensors) {
      for (LayoutTensor const& old : earlier.layout.tensors) {
        if (old.fingerprint != tensor.fingerprint) {
          continue;
        }
        for (std::uint64_t byte = 0; byte < tensor.span.end - tensor.span.begin; ++byte) {
          was_at[2000 + tensor.span.begin + byte] = 1000 + old.span.begin + byte;
        }
      }
    }
    auto const found = pairs_of(later, earlier);
    auto const chunks = later.chunks();
    for (std::size_t index = 0; index < chunks.size(); ++index) {
      auto const first = was_at.begin() + static_cast<std::ptrdiff_t>(chunks[index].offset);
      auto const last = first + chunks[index].bytes;
      bool const moved_together =
          *first != 0 && std::adjacent_find(first, last, [](std::uint64_t a, std::uint64_t b) {
                           return b != a + 1;
                         }) == last;
      auto const place = fmt::format("old {}+{}", *first, chunks[index].bytes);
      bool const is_chunk = earlier.places.contains(sha256(place));
      EXPECT_EQ(found[index], moved_together && is_chunk ? place : "-");
      paired_count += found[index] == "-" ? 0 : 1;
    }
  }
  EXPECT_GT(paired_count, 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DeltaPairsOfRandomFiles, testing::Values(1, 2, 3));

}  // namespace grove
