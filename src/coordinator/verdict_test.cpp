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

Circumstances circumstances(std::size_t workers_count = 3) {
  Circumstances all{.workers = std::vector<RepairWorker>(workers_count),
                    .hosts = {},
                    .redundancy = 2,
                    .repairs_by_itself = true,
                    .repair_after = std::chrono::minutes(10)};
  for (std::size_t index = 0; index < workers_count; ++index) {
    all.workers[index].room_bytes = 1000;
    all.hosts.push_back("pi-" + std::to_string(index + 1));
  }
  return all;
}

HeldRef header() {
  return {.ref = {.key = CheckpointKey::parse(two_shards().identity).value(),
                  .generation = generation,
                  .name = RefName{},
                  .target = sha256("manifest")}};
}

CopyCount counted(std::vector<WorkerInventory> const& inventories) {
  return count_copies(two_shards(), inventories, 2);
}

Judgement judged_as_it_is(std::vector<WorkerInventory> const& inventories,
                          Circumstances const& around) {
  return judge(two_shards(), counted(inventories), inventories, around);
}

// With a header on every worker that has an inventory.
Judgement judged(std::vector<WorkerInventory> inventories, Circumstances const& around) {
  for (auto& inventory : inventories) inventory.refs.push_back(header());
  return judged_as_it_is(inventories, around);
}

Verdict verdict_of(std::vector<WorkerInventory> const& inventories, bool all_answer = true) {
  auto around = circumstances();
  if (!all_answer) around.workers[2].state = WorkerState::away;
  return judged(inventories, around).verdict;
}

TEST(Verdict, IsSafeWithEveryCopyOfEveryShard) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0), copy_of(1)}},
                                                 {1, {copy_of(0), copy_of(1)}}};
  auto const copies = counted(inventories);
  EXPECT_EQ(copies.live, 4u);
  EXPECT_EQ(copies.wanted, 4u);
  EXPECT_EQ(verdict_of(inventories), Verdict::safe);
}

TEST(Verdict, SaysThatASafeOneNeedsItsFileNoMore) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0), copy_of(1)}},
                                                 {1, {copy_of(0), copy_of(1)}}};
  EXPECT_EQ(judged(inventories, circumstances()).words,
            "safe: 2 of 2 verified copies on pi-1, pi-2: you may delete the local file");
}

TEST(Verdict, IsHealingWhereTheMissingCopyIsBeingMade) {
  std::vector<WorkerInventory> const inventories{
      {0, {copy_of(0), copy_of(1)}}, {1, {copy_of(0)}}, {2, {}}};
  auto const found = judged(inventories, circumstances());
  EXPECT_EQ(found.verdict, Verdict::healing);
  EXPECT_EQ(found.words, "healing: 1 of 2 copies; being made again on pi-2, pi-3");
}

TEST(Verdict, IsAtRiskWhereNobodyMakesTheMissingCopy) {
  std::vector<WorkerInventory> const inventories{
      {0, {copy_of(0), copy_of(1)}}, {1, {copy_of(0)}}, {2, {}}};
  auto around = circumstances();
  around.repairs_by_itself = false;
  EXPECT_EQ(judged(inventories, around).words,
            "at risk: 1 of 2 copies: grove repair makes them again");
  around = circumstances();
  for (auto& worker : around.workers) worker.room_bytes = 0;
  EXPECT_EQ(
      judged(inventories, around).words,
      "at risk: 1 of 2 copies; no other worker can give or take a copy: bring one back, or add "
      "one with room");
}

TEST(Verdict, SaysWhoIsAwayAndForHowLongThatIsWaitedFor) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0)}}, {1, {copy_of(0), copy_of(1)}}};
  auto around = circumstances();
  around.workers[2].state = WorkerState::away;
  auto const found = judged(inventories, around);
  EXPECT_EQ(found.verdict, Verdict::at_risk);
  EXPECT_EQ(found.words,
            "at risk: 1 of 2 copies; pi-3 does not answer: after 10 min the copies are made again "
            "elsewhere");
}

TEST(Verdict, NamesTheLostShardsAndWhoHasDamage) {
  auto damaged = copy_of(1);
  damaged.is_sound = false;
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0)}}, {1, {copy_of(0), damaged}}};
  EXPECT_EQ(judged(inventories, circumstances()).words,
            "lost: shard 1 has no sound copy on any worker; damaged on pi-2");
}

TEST(Verdict, IsProvenWhenItsOldestCopyWas) {
  auto read = copy_of(0);
  read.verified_ms = 9000;
  std::vector<WorkerInventory> inventories{{0, {read}}};
  EXPECT_EQ(counted(inventories).proven_ms, 9000);
  inventories.push_back({1, {copy_of(0)}});  // not read since it was stored
  EXPECT_EQ(counted(inventories).proven_ms, 7);
  EXPECT_EQ(counted({}).proven_ms, std::nullopt);
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

TEST(Verdict, CountsTheHeaderAsItCountsAShard) {
  auto damaged = header();
  damaged.is_sound = false;
  std::vector<WorkerInventory> inventories{{0, {copy_of(0), copy_of(1), header()}},
                                           {1, {copy_of(0), copy_of(1), damaged}}};
  auto found = judged_as_it_is(inventories, circumstances(2));
  EXPECT_EQ(found.verdict, Verdict::healing);
  EXPECT_EQ(found.words, "healing: 1 of 2 copies; damaged on pi-2; being made again on pi-2");
  inventories[0].refs.back().is_sound = false;
  EXPECT_EQ(judged_as_it_is(inventories, circumstances(2)).words,
            "lost: the header has no sound copy on any worker; damaged on pi-1, pi-2");
  auto another = header();
  another.ref.generation = Generation{6};
  inventories[0].refs.back() = another;
  EXPECT_EQ(judged_as_it_is(inventories, circumstances(2)).verdict, Verdict::lost);
}

TEST(Verdict, WantsAsManyCopiesAsTheConfigWhereThatIsMore) {
  std::vector<WorkerInventory> const inventories{{0, {copy_of(0), copy_of(1), header()}},
                                                 {1, {copy_of(0), copy_of(1), header()}}};
  auto const copies = count_copies(two_shards(), inventories, 3);
  EXPECT_EQ(copies.wanted, 6u);
  EXPECT_FALSE(copies.is_safe());
  EXPECT_TRUE(count_copies(two_shards(), inventories, 1).is_safe());
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
