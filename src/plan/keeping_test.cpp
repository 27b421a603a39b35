#include "plan/keeping.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

StoredGeneration stored(std::string const& identity, std::uint64_t generation, bool is_safe = true,
                        bool is_pinned = false) {
  return {.key = CheckpointKey::parse(identity).value(),
          .generation = Generation{generation},
          .is_safe = is_safe,
          .is_pinned = is_pinned};
}

std::string step(int number) {
  return "run1/step_" + std::to_string(number) + "/model.safetensors";
}

// "run1/step_1/model.safetensors 7 retention" of each.
std::vector<std::string> forgotten(std::vector<StoredGeneration> const& all,
                                   std::uint32_t generations = 1, Retention retention = {},
                                   std::set<CheckpointKey> const& unsettled = {}) {
  std::vector<std::string> lines;
  for (auto const& it : plan_forgetting(all, unsettled, generations, retention)) {
    lines.push_back(it.key.identity() + " " + std::to_string(it.generation.value) + " " +
                    std::string(to_string(it.reason)));
  }
  return lines;
}

using Lines = std::vector<std::string>;
constexpr Retention last_two{.keep_last = 2, .keep_every = std::nullopt};

TEST(Keeping, ForgetsNothingByDefaultButOlderGenerations) {
  EXPECT_EQ(forgotten({stored(step(1), 9), stored(step(1), 8), stored(step(2), 7)}),
            Lines{step(1) + " 8 superseded"});
}

TEST(Keeping, KeepsAsManyGenerationsAsTheConfigSays) {
  std::vector const all{stored(step(1), 9), stored(step(1), 8), stored(step(1), 7)};
  EXPECT_EQ(forgotten(all, 2), Lines{step(1) + " 7 superseded"});
  EXPECT_EQ(forgotten(all, 3), Lines{});
}

TEST(Keeping, AGenerationThatIsNotSafeReplacesNothing) {
  EXPECT_EQ(forgotten({stored(step(1), 9, false), stored(step(1), 8), stored(step(1), 7)}),
            Lines{step(1) + " 7 superseded"});
  EXPECT_EQ(forgotten({stored(step(1), 9, false), stored(step(1), 8, false)}), Lines{});
}

TEST(Keeping, KeepsTheLastStepsOfARun) {
  EXPECT_EQ(forgotten({stored(step(1), 1), stored(step(2), 2), stored(step(10), 3)}, 1, last_two),
            Lines{step(1) + " 1 retention"});
}

TEST(Keeping, AStepThatIsNotSafeIsNoneOfTheLast) {
  EXPECT_EQ(
      forgotten({stored(step(1), 1), stored(step(2), 2), stored(step(3), 3, false)}, 1, last_two),
      Lines{});
}

TEST(Keeping, AStepIsAsSafeAsItsWorstFile) {
  EXPECT_EQ(forgotten({stored(step(1), 1), stored(step(2), 2), stored(step(3), 3),
                       stored("run1/step_3/optimizer.bin", 4, false)},
                      1, last_two),
            Lines{});
}

TEST(Keeping, AStepWithAFileThatIsBeingStoredIsNoneOfTheLast) {
  std::vector const all{stored(step(1), 1), stored(step(2), 2), stored(step(3), 3)};
  EXPECT_EQ(forgotten(all, 1, last_two), Lines{step(1) + " 1 retention"});
  // Not even of the same name.
  auto const optimizer = CheckpointKey::parse("run1/step_3/optimizer.bin").value();
  EXPECT_EQ(forgotten(all, 1, last_two, {optimizer}), Lines{});
}

TEST(Keeping, ACheckpointIsUnfinishedWhereItsNewestGenerationHasNoManifest) {
  auto const held = [](std::string const& identity, std::uint64_t generation, RefName name) {
    return HeldRef{.ref = {.key = CheckpointKey::parse(identity).value(),
                           .generation = Generation{generation},
                           .name = name,
                           .target = {}}};
  };
  RefName const shard{ShardIndex{0}};
  std::vector<WorkerInventory> const inventories{
      {0, {held("a", 1, {}), held("a", 2, shard), held("b", 1, {}), held("c", 5, shard)}},
      {1, {held("b", 1, shard), held("c", 5, {})}}};
  EXPECT_EQ(unfinished_checkpoints(inventories),
            std::set<CheckpointKey>{CheckpointKey::parse("a").value()});
}

TEST(Keeping, ClearsAwayWhatWasNeverFinishedOnceItIsOld) {
  auto const held = [](std::uint64_t generation, RefName name) {
    return HeldRef{.ref = {.key = CheckpointKey::parse("a").value(),
                           .generation = Generation{generation},
                           .name = name,
                           .target = {}}};
  };
  RefName const shard{ShardIndex{0}};
  std::vector<WorkerInventory> const inventories{
      {0, {held(1, shard), held(2, shard), held(5, shard)}}, {1, {held(1, shard), held(2, {})}}};
  EXPECT_EQ(plan_clearing(inventories, Generation{5}),
            (std::vector<Forgetting>{
                {CheckpointKey::parse("a").value(), Generation{1}, ForgetReason::unfinished}}));
}

TEST(Keeping, AStepThatLacksAPartOfASetIsNoneOfTheLast) {
  auto const part = [](int step, int number) {
    return "run1/step_" + std::to_string(step) + "/model-0000" + std::to_string(number) +
           "-of-00002.safetensors";
  };
  std::vector all{stored(part(1, 1), 1), stored(part(1, 2), 1), stored(part(2, 1), 2),
                  stored(part(2, 2), 2), stored(part(3, 1), 3)};
  EXPECT_EQ(forgotten(all, 1, last_two), Lines{});
  all.push_back(stored(part(3, 2), 3));
  EXPECT_EQ(forgotten(all, 1, last_two),
            (Lines{part(1, 1) + " 1 retention", part(1, 2) + " 1 retention"}));
}

TEST(Keeping, APinKeepsAllFilesOfItsStep) {
  EXPECT_EQ(forgotten({stored(step(1), 1, true, true), stored("run1/step_1/optimizer.bin", 1),
                       stored(step(2), 2), stored(step(3), 3), stored(step(4), 4)},
                      1, last_two),
            Lines{step(2) + " 2 retention"});
}

TEST(Keeping, EveryRunCountsItsOwn) {
  EXPECT_EQ(forgotten({stored("a/step_1/model.bin", 1), stored("a/step_2/model.bin", 2),
                       stored("b/step_1/model.bin", 3), stored("b/step_2/model.bin", 4)},
                      1, Retention{.keep_last = 1, .keep_every = std::nullopt}),
            (Lines{"a/step_1/model.bin 1 retention", "b/step_1/model.bin 3 retention"}));
}

TEST(Keeping, ACheckpointThatGoesTakesItsOlderGenerationsWithIt) {
  EXPECT_EQ(forgotten({stored(step(1), 5), stored(step(1), 4), stored(step(2), 6)}, 1,
                      Retention{.keep_last = 1, .keep_every = std::nullopt}),
            Lines{step(1) + " 5 retention"});
}

TEST(Keeping, WhatHasNoStepStays) {
  EXPECT_EQ(forgotten({stored("final.safetensors", 1), stored(step(1), 1), stored(step(2), 2)}, 1,
                      Retention{.keep_last = 1, .keep_every = std::nullopt}),
            Lines{step(1) + " 1 retention"});
}

}  // namespace
}  // namespace grove
