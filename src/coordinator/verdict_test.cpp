#include "coordinator/verdict.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

constexpr Generation generation{7};

Manifest two_shards() {
  Manifest manifest;
  manifest.identity = "run1/model.bin";
  manifest.generation = generation;
  manifest.redundancy = 2;
  manifest.shards.push_back({.begin = 0, .end = 5, .tensors_count = 0, .list = sha256("first")});
  manifest.shards.push_back({.begin = 5, .end = 9, .tensors_count = 0, .list = sha256("second")});
  return manifest;
}

HeldRef copy_of(std::uint32_t shard) {
  auto const manifest = two_shards();
  return {.ref = {.key = CheckpointKey::parse(manifest.identity).value(),
                  .generation = generation,
                  .name = RefName{ShardIndex{shard}},
                  .target = manifest.shards[shard].list}};
}

Verdict verdict_of(std::vector<WorkerInventory> const& inventories, bool all_answer = true) {
  auto const manifest = two_shards();
  return judge(count_copies(manifest, inventories), manifest, all_answer);
}

TEST(Verdict, IsSafeWithEveryCopyOfEveryShard) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0), copy_of(1)}},
                                                 {1, {copy_of(0), copy_of(1)}}};
  auto const copies = count_copies(two_shards(), inventories);
  EXPECT_EQ(copies.live, 4u);
  EXPECT_EQ(copies.wanted, 4u);
  EXPECT_EQ(verdict_of(inventories), Verdict::safe);
}

TEST(Verdict, IsAtRiskWithOneCopyLess) {
  EXPECT_EQ(verdict_of({{0, {copy_of(0), copy_of(1)}}, {1, {copy_of(0)}}}), Verdict::at_risk);
}

TEST(Verdict, IsLostWhenAShardIsNowhereAndOutOfReachWhileSomebodyMayHaveIt) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0)}}, {1, {copy_of(0)}}};
  EXPECT_EQ(verdict_of(inventories), Verdict::lost);
  EXPECT_EQ(verdict_of(inventories, false), Verdict::out_of_reach);
}

TEST(Verdict, CountsNoDamagedCopyAndNoneOfOtherContent) {
  auto damaged = copy_of(1);
  damaged.is_sound = false;
  auto other_content = copy_of(1);
  other_content.ref.target = sha256("other");
  auto older = copy_of(1);
  older.ref.generation = Generation{6};
  EXPECT_EQ(verdict_of({{0, {copy_of(0), damaged}}, {1, {copy_of(0), other_content, older}}}),
            Verdict::lost);
}

TEST(Verdict, NamesTheWorkersThatAnswerAndLackACopyThatBelongsThere) {
  // Of three workers the ring gives shard 0 to the first two, shard 1 to the last two.
  std::vector<WorkerInventory> inventories{{0, {copy_of(0)}}, {1, {copy_of(1)}}, {2, {}}};
  RingSize const ring{.workers_count = 3, .redundancy = 2};
  using Workers = std::set<std::size_t>;
  EXPECT_EQ(workers_that_lack(two_shards(), inventories, {0, 1, 2}, ring), (Workers{1, 2}));
  // One that is away lacks nothing that could be sent.
  EXPECT_EQ(workers_that_lack(two_shards(), inventories, {0, 1}, ring), Workers{1});
  inventories[1].refs.push_back(copy_of(0));
  EXPECT_EQ(workers_that_lack(two_shards(), inventories, {0, 1}, ring), Workers{});
  inventories[1].refs.back().is_sound = false;
  EXPECT_EQ(workers_that_lack(two_shards(), inventories, {0, 1}, ring), Workers{1});
}

}  // namespace
}  // namespace grove
