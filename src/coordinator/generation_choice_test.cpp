#include "coordinator/generation_choice.h"

#include <functional>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "net/test_loop.h"

namespace grove {
namespace {

constexpr Generation old{5};
constexpr Generation fresh{9};

// Two shards behind a header of 10 bytes.
FilePlan plan_of_two() {
  FilePlan plan;
  plan.kind = CheckpointKind::safetensors;
  plan.file_bytes = 100;
  plan.header_bytes = 10;
  plan.shards = {{.begin = 10, .end = 60, .tensors_count = 1, .chunks = {}},
                 {.begin = 60, .end = 100, .tensors_count = 1, .chunks = {}}};
  return plan;
}

Manifest manifest_of_two() {
  Manifest manifest;
  manifest.identity = "run1/step_100/model.safetensors";
  manifest.generation = old;
  manifest.kind = CheckpointKind::safetensors;
  manifest.file_bytes = 100;
  manifest.header_bytes = 10;
  manifest.header_list = sha256("header");
  manifest.shards = {{.begin = 10, .end = 60, .tensors_count = 1, .list = sha256("shard 0")},
                     {.begin = 60, .end = 100, .tensors_count = 1, .list = sha256("shard 1")}};
  return manifest;
}

// A choice and somebody who waits for it.
class Waiting {
 public:
  Waiting(TestLoop& loop, std::optional<Manifest> newest, std::optional<Generation> new_one = fresh)
      : tasks_(loop.executor()),
        choice(loop.executor(), plan_of_two(), std::move(newest), new_one) {
    tasks_.spawn("wait", wait());
  }

  Awaitable<void> end() { co_await tasks_.wait(); }
  void cancel() { tasks_.cancel(); }

 private:
  Awaitable<void> wait() { answer = co_await choice.wait(); }

  TaskGroup tasks_;

 public:
  GenerationChoice choice;
  std::optional<Result<Generation>> answer;
};

void expect_fresh_at_once(FilePlan const& plan, std::optional<Manifest> newest) {
  TestLoop loop;
  GenerationChoice choice(loop.executor(), plan, std::move(newest), fresh);
  loop.run([&]() -> Awaitable<void> {
    auto const generation = co_await choice.wait();
    EXPECT_EQ(generation.value(), fresh);
    EXPECT_FALSE(choice.repeated().has_value());
  });
}

TEST(GenerationChoice, IsANewOneAtOnceWhereNothingIsKnown) {
  expect_fresh_at_once(plan_of_two(), std::nullopt);
}

TEST(GenerationChoice, IsANewOneAtOnceWhereTheFileIsCutOtherwise) {
  std::vector<std::function<void(FilePlan&)>> const changes{
      [](FilePlan& plan) { plan.kind = CheckpointKind::opaque; },
      [](FilePlan& plan) { ++plan.file_bytes; },
      [](FilePlan& plan) { ++plan.header_bytes; },
      [](FilePlan& plan) { plan.shards.pop_back(); },
      [](FilePlan& plan) { plan.shards.push_back({}); },
      [](FilePlan& plan) { ++plan.shards[0].end; },
      [](FilePlan& plan) { ++plan.shards[1].begin; },
  };
  for (auto const& change : changes) {
    auto plan = plan_of_two();
    change(plan);
    expect_fresh_at_once(plan, manifest_of_two());
  }
}

TEST(GenerationChoice, IsANewOneAtTheFirstListThatDiffers) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    Waiting header(loop, manifest_of_two());
    header.choice.header_list_known(sha256("another header"));
    co_await header.end();
    EXPECT_EQ(header.answer->value(), fresh);

    Waiting shard(loop, manifest_of_two());
    shard.choice.shard_list_known(ShardIndex{1}, sha256("another shard 1"));
    co_await shard.end();
    EXPECT_EQ(shard.answer->value(), fresh);
    EXPECT_FALSE(shard.choice.repeated().has_value());
  });
}

TEST(GenerationChoice, IsANewOneThoughOnlyTheLastListDiffers) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    Waiting waiting(loop, manifest_of_two());
    waiting.choice.header_list_known(sha256("header"));
    waiting.choice.shard_list_known(ShardIndex{0}, sha256("shard 0"));
    co_await settle();
    EXPECT_FALSE(waiting.answer.has_value());
    waiting.choice.shard_list_known(ShardIndex{1}, sha256("another shard 1"));
    co_await waiting.end();
    EXPECT_EQ(waiting.answer->value(), fresh);
    EXPECT_FALSE(waiting.choice.repeated().has_value());
  });
}

TEST(GenerationChoice, WaitsForEveryListAndThenRepeatsTheNewest) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    Waiting waiting(loop, manifest_of_two());
    waiting.choice.shard_list_known(ShardIndex{1}, sha256("shard 1"));
    waiting.choice.shard_list_known(ShardIndex{0}, sha256("shard 0"));
    co_await settle();
    EXPECT_FALSE(waiting.answer.has_value());
    EXPECT_FALSE(waiting.choice.repeated().has_value());
    waiting.choice.header_list_known(sha256("header"));
    co_await waiting.end();
    EXPECT_EQ(waiting.answer->value(), old);
    EXPECT_EQ(waiting.choice.repeated(), manifest_of_two());
  });
}

TEST(GenerationChoice, StaysWhatItIsOnceItIsMade) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    GenerationChoice choice(loop.executor(), plan_of_two(), manifest_of_two(), fresh);
    choice.shard_list_known(ShardIndex{0}, sha256("another shard 0"));
    choice.header_list_known(sha256("header"));
    choice.shard_list_known(ShardIndex{1}, sha256("shard 1"));
    auto const generation = co_await choice.wait();
    EXPECT_EQ(generation.value(), fresh);
    EXPECT_FALSE(choice.repeated().has_value());
  });
}

TEST(GenerationChoice, UnwindsWhenItsWaiterIsCancelled) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    Waiting waiting(loop, manifest_of_two());
    co_await settle();
    waiting.cancel();
    co_await waiting.end();
    EXPECT_EQ(waiting.answer->error().kind, ErrorKind::cancelled);
  });
}

}  // namespace
}  // namespace grove
