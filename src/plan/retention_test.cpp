#include "plan/retention.h"

#include <gtest/gtest.h>

#include "format/test_key.h"

namespace grove {
namespace {

RetentionPlan plan_of(Retention retention, std::vector<int> const& steps) {
  RetentionPlan plan(retention);
  for (int const step : steps) plan.add(key_of(fmt::format("run1/step_{}/model.pth", step)));
  return plan;
}

std::vector<int> dropped(RetentionPlan const& plan, std::vector<int> const& steps) {
  std::vector<int> found;
  for (int const step : steps) {
    if (plan.drops(key_of(fmt::format("run1/step_{}/model.pth", step)))) found.push_back(step);
  }
  return found;
}

TEST(Retention, FindsRunAndStepInAFolderOrInAFileName) {
  EXPECT_EQ(run_step_of(key_of("exp/run1/step_100/model.safetensors")), (RunStep{"exp/run1", 100}));
  EXPECT_EQ(run_step_of(key_of("run1/ckpt_000250.safetensors")), (RunStep{"run1", 250}));
  EXPECT_EQ(run_step_of(key_of("step_7/model-00001-of-00004.safetensors")), (RunStep{"", 7}));
  EXPECT_EQ(run_step_of(key_of("epoch2-step9.safetensors")), (RunStep{"", 9}));
  EXPECT_FALSE(run_step_of(key_of("final/model.safetensors")));
  EXPECT_FALSE(run_step_of(key_of("model.safetensors")));
  EXPECT_FALSE(run_step_of(key_of("run/step_99999999999999999999999/model.safetensors")));
}

TEST(Retention, KeepsEverythingUnlessToldOtherwise) {
  EXPECT_TRUE(dropped(plan_of({}, {1, 2, 3}), {1, 2, 3}).empty());
}

TEST(Retention, KeepsTheNewestStepsAndDropsTheOneBehindThem) {
  auto const plan = plan_of({.keep_last = 2, .keep_every = {}}, {100, 200, 300, 1000});
  EXPECT_EQ(dropped(plan, {100, 200, 300, 1000}), (std::vector<int>{100, 200}));
  EXPECT_EQ(dropped(plan, {250, 301, 2000}), (std::vector<int>{250}));
}

TEST(Retention, KeepsEveryMultipleAndAlwaysTheNewest) {
  auto const plan = plan_of({.keep_last = {}, .keep_every = 100}, {50, 100, 150, 200, 250});
  EXPECT_EQ(dropped(plan, {50, 100, 150, 200, 250}), (std::vector<int>{50, 150}));
}

TEST(Retention, CountsTheFilesOfOneStepOnceAndEachRunForItself) {
  RetentionPlan plan({.keep_last = 1, .keep_every = {}});
  plan.add(key_of("a/step_2/model-00001-of-00002.safetensors"));
  plan.add(key_of("a/step_2/model-00002-of-00002.safetensors"));
  plan.add(key_of("b/step_9/model.safetensors"));
  EXPECT_FALSE(plan.drops(key_of("a/step_2/model-00001-of-00002.safetensors")));
  EXPECT_FALSE(plan.drops(key_of("a/step_3/model.safetensors")));
  EXPECT_TRUE(plan.drops(key_of("a/step_1/model.safetensors")));
  EXPECT_FALSE(plan.drops(key_of("c/step_1/model.safetensors")));
  EXPECT_FALSE(plan.drops(key_of("a/final/model.safetensors")));
}

TEST(Retention, APinKeepsAllFilesOfItsStep) {
  auto plan = plan_of({.keep_last = 1, .keep_every = {}}, {1, 2, 3});
  plan.pin(key_of("run1/step_1/model.pth"));
  EXPECT_EQ(dropped(plan, {1, 2, 3}), (std::vector<int>{2}));
  EXPECT_FALSE(plan.drops(key_of("run1/step_1/another.pth")));
  EXPECT_TRUE(plan.drops(key_of("run1/step_2/another.pth")));
}

}  // namespace
}  // namespace grove
