#include "net/task_group.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "net/offload.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Log = std::vector<std::string>;

// Waits for its cancellation, then cleans up with another await.
Awaitable<void> unwind(Log* log, std::string name) {
  bool const slept = co_await sleep_for(1h);
  log->push_back(name + (slept ? " slept" : " cancelled"));
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  log->push_back(name + " cleaned up");
}

// Heeds only terminal cancellation: the timer ends with every signal, the task does not.
Awaitable<void> resist(Log* log) {
  for (;;) {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
    std::ignore = co_await timer.async_wait(as_result);
    auto const state = co_await asio::this_coro::cancellation_state;
    if ((state.cancelled() & asio::cancellation_type::terminal) != asio::cancellation_type::none) {
      break;
    }
    log->push_back("resisted");
  }
  log->push_back("forced");
}

Awaitable<void> note(Log* log, std::string text) {
  log->push_back(std::move(text));
  co_return;
}

Awaitable<void> note_cancelled(Log* log) {
  bool const cancelled = co_await is_cancelled();
  bool const slept = co_await sleep_for(1h);
  log->push_back(cancelled && !slept ? "born cancelled" : "ran");
}

Awaitable<void> wait_for_children(Log* log) {
  TaskGroup children(co_await asio::this_coro::executor);
  children.spawn("child", unwind(log, "child"));
  co_await children.wait();
  log->push_back("parent ended");
}

Awaitable<void> throw_out() {
  throw std::runtime_error("a bug");
  co_return;
}

TEST(TaskGroup, RunsATaskAndForgetsIt) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("one", note(&log, "ran"));
    EXPECT_EQ(group.count(), 1u);
    co_await group.wait();
    EXPECT_TRUE(group.is_empty());
  });
  EXPECT_EQ(log, Log{"ran"});
}

TEST(TaskGroup, StopLetsTasksCleanUp) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("a", unwind(&log, "a"));
    co_await asio::post(loop.executor(), asio::use_awaitable);
    co_await group.stop(10s);
    EXPECT_TRUE(group.is_empty());
  });
  EXPECT_EQ(log, (Log{"a cancelled", "a cleaned up"}));
}

TEST(TaskGroup, StopForcesWhatDoesNotEndWithinTheGrace) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("stubborn", resist(&log));
    co_await asio::post(loop.executor(), asio::use_awaitable);
    co_await group.stop(20ms);
  });
  EXPECT_EQ(log, (Log{"resisted", "forced"}));
}

TEST(TaskGroup, CancelReachesATaskThatHasNotBegun) {
  TestLoop loop;
  Log log;
  TaskGroup group(loop.executor());
  group.spawn("early", note_cancelled(&log));  // the loop does not turn yet
  group.cancel();
  loop.run([&] { return group.wait(); });
  EXPECT_EQ(log, Log{"born cancelled"});
}

TEST(TaskGroup, TasksSpawnedAfterStopStartCancelled) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    co_await group.stop(1s);
    group.spawn("late", note_cancelled(&log));
    co_await group.wait();
  });
  EXPECT_EQ(log, Log{"born cancelled"});
}

TEST(TaskGroup, WaitPassesACancellationOnToTheTasks) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("parent", wait_for_children(&log));
    co_await sleep_for(5ms);
    co_await group.stop(10s);
  });
  EXPECT_EQ(log, (Log{"child cancelled", "child cleaned up", "parent ended"}));
}

TEST(TaskGroup, WaitUntilGivesUpAtTheDeadline) {
  TestLoop loop;
  Log log;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("slow", unwind(&log, "slow"));
    EXPECT_FALSE(co_await group.wait_until(Clock::now() + 5ms));
    co_await group.stop(10s);
    EXPECT_TRUE(co_await group.wait_until(Clock::now()));
  });
}

TEST(TaskGroupDeathTest, AbortsWhenAnExceptionEscapes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        TestLoop loop;
        loop.run([] { return throw_out(); });
      },
      "");
}

TEST(TaskGroupDeathTest, AbortsWhenItGoesBeforeItsTasks) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        asio::io_context context;
        Log log;
        TaskGroup group(context.get_executor());
        group.spawn("orphan", note(&log, "never"));
      },
      "is_empty");
}

TEST(SleepFor, TellsWhetherItSleptToTheEnd) {
  TestLoop loop;
  loop.run([&]() -> Awaitable<void> {
    auto const start = Clock::now();
    EXPECT_TRUE(co_await sleep_for(5ms));
    EXPECT_GE(Clock::now() - start, 5ms);
  });
}

}  // namespace
}  // namespace grove
