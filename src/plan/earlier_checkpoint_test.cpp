#include "plan/earlier_checkpoint.h"

#include <gtest/gtest.h>

#include "format/test_key.h"

namespace grove {

namespace {

bool is_same(std::string_view identity, std::string_view other) {
  auto const prefix = run_prefix_of(key_of(identity));
  bool const is_one = is_of_same_run(key_of(identity), key_of(other));
  if (is_one) {
    EXPECT_TRUE(prefix && other.starts_with(*prefix)) << identity << " " << other;
    EXPECT_TRUE(is_of_same_run(key_of(other), key_of(identity)));
  }
  return is_one;
}

HeldRef manifest_of(std::string_view identity, std::uint64_t generation,
                    std::string_view target = "manifest") {
  return {.ref = {key_of(identity), {generation}, {}, sha256(target)}};
}

std::vector<std::string> chosen(std::string_view identity,
                                std::vector<WorkerInventory> const& inventories,
                                std::size_t count_max = 3) {
  std::vector<std::string> found;
  for (auto const& earlier : choose_earlier(key_of(identity), inventories, count_max)) {
    found.push_back(
        fmt::format("{} {}", earlier.key.identity(), earlier.generation.generation.value));
  }
  return found;
}

using Names = std::vector<std::string>;

}  // namespace

TEST(EarlierCheckpoint, IsOfTheSameRunInAnotherFolderOfIt) {
  EXPECT_TRUE(is_same("run1/step_100/model.safetensors", "run1/step_90/model.safetensors"));
  EXPECT_TRUE(is_same("a/b/run1/step_100/model.safetensors", "a/b/run1/best/model.safetensors"));
  EXPECT_FALSE(is_same("run1/step_100/model.safetensors", "run2/step_90/model.safetensors"));
  EXPECT_FALSE(is_same("run1/step_100/model.safetensors", "run1/step_90/optimizer.safetensors"));
  EXPECT_FALSE(is_same("run1/step_100/model.safetensors", "run1/step_90/more/model.safetensors"));
  EXPECT_FALSE(is_same("run1/step_100/model.safetensors", "run1/model.safetensors"));
}

TEST(EarlierCheckpoint, IsOfTheSameRunWithAnotherNumberInItsName) {
  EXPECT_TRUE(is_same("run1/model-step100.safetensors", "run1/model-step90.safetensors"));
  EXPECT_TRUE(is_same("model-step100.safetensors", "model-step90.safetensors"));
  EXPECT_TRUE(is_same("run1/s9/model-9.safetensors", "run1/s10/model-10.safetensors"));
  EXPECT_FALSE(is_same("run1/model-step100.safetensors", "run1/model-epoch9.safetensors"));
  EXPECT_FALSE(is_same("run1/model-step100.safetensors", "run1/model-step90.pt"));
}

TEST(EarlierCheckpoint, IsOfTheSameRunDirectlyUnderTheRoot) {
  EXPECT_TRUE(is_same("step_100/model.safetensors", "step_90/model.safetensors"));
  EXPECT_TRUE(is_same("100/model.safetensors", "90/model.safetensors"));
  EXPECT_FALSE(is_same("step_100/model.safetensors", "other/model.safetensors"));
  EXPECT_FALSE(is_same("mine/model.safetensors", "yours/model.safetensors"));
}

TEST(EarlierCheckpoint, IsTheSamePart) {
  EXPECT_TRUE(is_same("run/step_9/model-00001-of-00004.safetensors",
                      "run/step_8/model-00001-of-00004.safetensors"));
  EXPECT_FALSE(is_same("run/step_9/model-00001-of-00004.safetensors",
                       "run/step_8/model-00002-of-00004.safetensors"));
  EXPECT_FALSE(is_same("run/step_9/model-00001-of-00004.safetensors",
                       "run/step_9/model-00002-of-00004.safetensors"));
}

TEST(EarlierCheckpoint, IsNotTheCheckpointItself) {
  EXPECT_FALSE(is_same("run1/step_100/model.safetensors", "run1/step_100/model.safetensors"));
}

TEST(EarlierCheckpoint, IsAskedForByAPrefixOrNotAtAll) {
  EXPECT_EQ(run_prefix_of(key_of("a/run1/step_100/model.safetensors")), "a/run1/");
  EXPECT_EQ(run_prefix_of(key_of("run1/model-9.safetensors")), "run");
  EXPECT_EQ(run_prefix_of(key_of("run/model-9.safetensors")), "run/model-");
  EXPECT_EQ(run_prefix_of(key_of("model-9.safetensors")), "model-");
  EXPECT_EQ(run_prefix_of(key_of("9/model.safetensors")), "");
  EXPECT_FALSE(run_prefix_of(key_of("run/model.safetensors")));
  EXPECT_FALSE(run_prefix_of(key_of("run/model-00001-of-00002.safetensors")));
  EXPECT_FALSE(run_prefix_of(key_of("model.safetensors")));
}

TEST(EarlierCheckpoint, IsTheOneThatWasStoredLast) {
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0,
       .refs = {manifest_of("run/step_10/model.safetensors", 5),
                manifest_of("run/step_20/model.safetensors", 9),
                manifest_of("run/step_30/model.safetensors", 7),
                manifest_of("run/step_40/model.safetensors", 99)}},
      {.worker_index = 2,
       .refs = {manifest_of("run/step_10/model.safetensors", 8),
                manifest_of("run/step_20/model.safetensors", 9),
                manifest_of("other/step_10/model.safetensors", 100)}}};
  EXPECT_EQ(chosen("run/step_40/model.safetensors", inventories),
            (Names{"run/step_20/model.safetensors 9", "run/step_10/model.safetensors 8",
                   "run/step_30/model.safetensors 7"}));
  EXPECT_EQ(chosen("run/step_40/model.safetensors", inventories, 1).size(), 1u);
  auto const best = choose_earlier(key_of("run/step_40/model.safetensors"), inventories, 1);
  EXPECT_EQ(best.at(0).generation.manifest_holders, (std::vector<std::size_t>{0, 2}));
  EXPECT_TRUE(chosen("alone/step_1/model.safetensors", inventories).empty());
}

TEST(EarlierCheckpoint, IsComplete) {
  HeldRef shard = manifest_of("run/step_20/model.safetensors", 9);
  shard.ref.name = RefName{ShardIndex{0}};
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0, .refs = {manifest_of("run/step_10/model.safetensors", 5), shard}}};
  EXPECT_EQ(chosen("run/step_40/model.safetensors", inventories),
            Names{"run/step_10/model.safetensors 5"});
}

TEST(EarlierCheckpoint, IsTheNamesakeWhereTheFolderIsTheStep) {
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0,
       .refs = {manifest_of("run/step_10/optimizer-0.safetensors", 1),
                manifest_of("run/step_10/optimizer-1.safetensors", 2),
                manifest_of("run/step_20/optimizer-0.safetensors", 3)}}};
  EXPECT_EQ(chosen("run/step_20/optimizer-1.safetensors", inventories, 1),
            Names{"run/step_10/optimizer-1.safetensors 2"});
}

TEST(EarlierCheckpoint, IsTheNeighbourWhereTheFolderIsTheRun) {
  std::vector<WorkerInventory> const inventories{
      {.worker_index = 0,
       .refs = {manifest_of("exp1/model-step10.safetensors", 1),
                manifest_of("exp2/model-step10.safetensors", 2),
                manifest_of("exp2/model-step20.safetensors", 3)}}};
  EXPECT_EQ(chosen("exp1/model-step20.safetensors", inventories, 1),
            Names{"exp1/model-step10.safetensors 1"});
}

}  // namespace grove
