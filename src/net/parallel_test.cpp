#include "net/parallel.h"

#include <chrono>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "net/task_group.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

Awaitable<void> count_after(std::chrono::milliseconds delay, int& count) {
  bool const rested = co_await sleep_for(delay);
  if (rested) ++count;
}

Awaitable<void> run_three(std::chrono::milliseconds delay, int& count, bool& has_ended) {
  std::vector<Awaitable<void>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(count_after(delay, count));
  co_await run_all(std::move(tasks));
  has_ended = true;
}

TEST(RunAll, ReturnsWhenEveryTaskHasEnded) {
  asio::io_context io(1);
  TaskGroup group(io.get_executor());
  int count = 0;
  bool has_ended = false;
  group.spawn("caller", run_three(1ms, count, has_ended));
  io.run();
  EXPECT_TRUE(has_ended);
  EXPECT_EQ(count, 3);
}

TEST(RunAll, PassesACancellationOnToEachTask) {
  asio::io_context io(1);
  TaskGroup group(io.get_executor());
  int count = 0;
  bool has_ended = false;
  group.spawn("caller", run_three(1h, count, has_ended));
  io.poll();
  group.cancel();
  io.run();
  EXPECT_TRUE(has_ended);
  EXPECT_EQ(count, 0);
}

TEST(RunAll, CancelsTheTasksOfACallerThatWasCancelledBefore) {
  asio::io_context io(1);
  TaskGroup group(io.get_executor());
  int count = 0;
  bool has_ended = false;
  auto const cancelled_caller = [&]() -> Awaitable<void> {
    bool const rested = co_await sleep_for(1h);
    EXPECT_FALSE(rested);
    co_await run_three(1h, count, has_ended);
  };
  group.spawn("caller", cancelled_caller());
  io.poll();
  group.cancel();
  io.run();
  EXPECT_TRUE(has_ended);
  EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace grove
