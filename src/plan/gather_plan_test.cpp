#include "plan/gather_plan.h"

#include <string>

#include <gtest/gtest.h>

#include "format/test_key.h"
#include "plan/golden_test.h"
#include "plan/placement.h"

namespace grove {

namespace {

CheckpointKey const a_key = key_of("run1/step_100/model.safetensors");

Digest list_of(std::uint32_t shard) {
  return sha256("list " + std::to_string(shard));
}

Manifest a_manifest(std::uint32_t shards_count) {
  Manifest manifest;
  manifest.identity = a_key.identity();
  manifest.generation = Generation{7};
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    manifest.shards.push_back({shard * 10, shard * 10 + 10, 1, list_of(shard)});
  }
  return manifest;
}

HeldRef shard_ref(std::uint32_t shard) {
  return {.ref = {.key = a_key,
                  .generation = Generation{7},
                  .name = {ShardIndex{shard}},
                  .target = list_of(shard)}};
}

HeldRef manifest_ref(std::uint64_t generation, std::string_view content) {
  return {.ref = {.key = a_key,
                  .generation = Generation{generation},
                  .name = {},
                  .target = sha256(content)}};
}

// What the workers hold after a store.
std::vector<WorkerInventory> stored(std::uint32_t shards_count, std::size_t workers_count,
                                    std::uint32_t redundancy) {
  std::vector<WorkerInventory> inventories(workers_count);
  for (std::size_t worker = 0; worker < workers_count; ++worker) {
    inventories[worker].worker_index = worker;
  }
  auto const copies = place_copies(shards_count, workers_count, redundancy).value();
  for (PlannedCopy const& copy : copies) {
    inventories[copy.worker_index].refs.push_back(shard_ref(copy.shard.value));
  }
  return inventories;
}

std::vector<std::size_t> holders_of(HeldRef const& held) {
  std::vector<WorkerInventory> const inventories{{.worker_index = 0, .refs = {held}}};
  return plan_gather(a_manifest(2), inventories, 4).shards[0].holders;
}

}  // namespace

TEST(Generations, AManifestThatNobodyHasIsNoneBesideOneThatSomebodyHas) {
  auto flipped = manifest_ref(7, "a digit of it has flipped");
  flipped.is_sound = false;
  std::vector<WorkerInventory> inventories{{0, {flipped}}, {1, {manifest_ref(7, "manifest")}}};
  auto view = generations_of(a_key, inventories).front();
  EXPECT_EQ(view.manifests, std::vector{sha256("manifest")});
  EXPECT_EQ(view.manifest_holders, std::vector<std::size_t>{1});
  inventories.pop_back();
  view = generations_of(a_key, inventories).front();
  EXPECT_EQ(view.manifests, std::vector{flipped.ref.target});
}

TEST(GatherPlan, FollowsTheRing) {
  expect_golden("gather_4_on_4.txt", plan_gather(a_manifest(4), stored(4, 4, 2), 4).text());
  expect_golden("gather_8_on_3.txt", plan_gather(a_manifest(8), stored(8, 3, 2), 3).text());
}

TEST(GatherPlan, GoesOnWithOneWorkerLess) {
  auto inventories = stored(4, 4, 2);
  inventories.erase(inventories.begin() + 1);
  expect_golden("gather_4_on_4_worker_1_gone.txt",
                plan_gather(a_manifest(4), inventories, 4).text());
}

TEST(GatherPlan, NamesTheShardsThatNobodyHas) {
  auto inventories = stored(4, 4, 2);
  inventories.erase(inventories.begin() + 1, inventories.begin() + 3);
  GatherPlan const plan = plan_gather(a_manifest(4), inventories, 4);
  EXPECT_EQ(plan.missing, std::vector<ShardIndex>{ShardIndex{1}});
  expect_golden("gather_4_on_4_workers_1_2_gone.txt", plan.text());
}

TEST(GatherPlan, TriesDamagedCopiesLast) {
  auto inventories = stored(2, 4, 3);  // shard 0 is on workers 0, 1, 2
  inventories[0].refs[0].is_sound = false;
  GatherPlan const plan = plan_gather(a_manifest(2), inventories, 4);
  EXPECT_EQ(plan.shards[0].holders, (std::vector<std::size_t>{1, 2, 0}));
  EXPECT_EQ(plan.shards[1].holders, (std::vector<std::size_t>{1, 2, 3}));
}

TEST(GatherPlan, TriesADamagedCopyThatIsTheOnlyOne) {
  HeldRef held = shard_ref(0);
  held.is_sound = false;
  EXPECT_EQ(holders_of(held), std::vector<std::size_t>{0});
}

TEST(GatherPlan, TriesWorkersOffTheRingAfterIt) {
  std::vector<WorkerInventory> inventories{{.worker_index = 9, .refs = {shard_ref(3)}},
                                           {.worker_index = 4, .refs = {shard_ref(3)}},
                                           {.worker_index = 2, .refs = {shard_ref(3)}},
                                           {.worker_index = 0, .refs = {shard_ref(3)}}};
  EXPECT_EQ(plan_gather(a_manifest(4), inventories, 4).shards[3].holders,
            (std::vector<std::size_t>{0, 2, 4, 9}));
}

TEST(GatherPlan, CountsOnlyHoldersOfExactlyTheManifestsList) {
  EXPECT_EQ(holders_of(shard_ref(0)), std::vector<std::size_t>{0});

  HeldRef other_list = shard_ref(0);
  other_list.ref.target = list_of(1);
  EXPECT_TRUE(holders_of(other_list).empty());

  HeldRef other_generation = shard_ref(0);
  other_generation.ref.generation = Generation{6};
  EXPECT_TRUE(holders_of(other_generation).empty());

  HeldRef other_key = shard_ref(0);
  other_key.ref.key = key_of("run1/step_200/model.safetensors");
  EXPECT_TRUE(holders_of(other_key).empty());

  HeldRef no_shard = shard_ref(0);
  no_shard.ref.name = {};
  EXPECT_TRUE(holders_of(no_shard).empty());

  EXPECT_TRUE(holders_of(shard_ref(2)).empty());  // beyond the manifest's last shard
}

TEST(GatherPlan, OfAnEmptyClusterMissesEveryShard) {
  GatherPlan const plan = plan_gather(a_manifest(2), {}, 4);
  EXPECT_EQ(plan.missing, (std::vector<ShardIndex>{ShardIndex{0}, ShardIndex{1}}));
}

TEST(GenerationsOf, AreNewestFirstAndTellCompleteFromUnfinished) {
  HeldRef unfinished = shard_ref(1);
  unfinished.ref.generation = Generation{9};
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0, .refs = {manifest_ref(7, "m"), shard_ref(0)}},
      {.worker_index = 2, .refs = {unfinished, manifest_ref(7, "m"), shard_ref(1)}}};
  auto const views = generations_of(a_key, inventories);
  ASSERT_EQ(views.size(), 2u);

  EXPECT_EQ(views[0].generation, Generation{9});
  EXPECT_TRUE(views[0].manifests.empty());
  EXPECT_EQ(views[0].shard_holders, std::vector<std::size_t>{2});
  EXPECT_EQ(views[0].shard_refs, std::vector<Ref>{unfinished.ref});

  EXPECT_EQ(views[1].generation, Generation{7});
  EXPECT_EQ(views[1].manifests, std::vector<Digest>{sha256("m")});
  EXPECT_EQ(views[1].manifest_holders, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(views[1].shard_holders, (std::vector<std::size_t>{0, 2}));
}

TEST(GenerationsOf, ShowTwoManifestsOfOneGeneration) {
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0, .refs = {manifest_ref(7, "m")}},
      {.worker_index = 1, .refs = {manifest_ref(7, "other")}}};
  auto const views = generations_of(a_key, inventories);
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].manifests, (std::vector<Digest>{sha256("m"), sha256("other")}));
}

TEST(GenerationsOf, IgnoreOtherCheckpoints) {
  std::vector<WorkerInventory> const inventories{{.worker_index = 0, .refs = {shard_ref(0)}}};
  EXPECT_EQ(generations_of(a_key, inventories).size(), 1u);
  EXPECT_TRUE(generations_of(key_of("run2/model.safetensors"), inventories).empty());
}

}  // namespace grove
