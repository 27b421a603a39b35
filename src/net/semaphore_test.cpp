#include "net/semaphore.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using Log = std::vector<std::string>;

Awaitable<void> take(Semaphore* semaphore, std::uint64_t count, Log* log, std::string name) {
  auto permit = co_await semaphore->acquire(count);
  log->push_back(name + (permit ? " has it" : " fails: " + permit.error().message));
}

Awaitable<void> next_turn() {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

TEST(Semaphore, GivesTheWholeAndNotOneMore) {
  TestLoop loop;
  Log log;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    auto all = co_await semaphore.acquire(10);
    EXPECT_TRUE(all.has_value());
    EXPECT_EQ(semaphore.available(), 0u);
    loop.tasks().spawn("one more", take(&semaphore, 1, &log, "one more"));
    co_await next_turn();
    co_await next_turn();
    EXPECT_TRUE(log.empty());
    all.value().release_all();
  });
  EXPECT_EQ(log, Log{"one more has it"});
  EXPECT_EQ(semaphore.available(), 10u);
}

TEST(Semaphore, ServesInTheOrderOfArrival) {
  TestLoop loop;
  Log log;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    auto held = co_await semaphore.acquire(5);
    loop.tasks().spawn("big", take(&semaphore, 8, &log, "big"));
    loop.tasks().spawn("small", take(&semaphore, 1, &log, "small"));
    co_await sleep_for(5ms);
    EXPECT_TRUE(log.empty()) << "the small one overtook the big one";
    held.value().release(3);
  });
  EXPECT_EQ(log, (Log{"big has it", "small has it"}));
}

TEST(Semaphore, ACancelledWaiterLeavesTheRowToTheNext) {
  TestLoop loop;
  Log log;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    auto held = co_await semaphore.acquire(5);
    TaskGroup group(loop.executor());
    group.spawn("big", take(&semaphore, 8, &log, "big"));
    co_await sleep_for(1ms);
    loop.tasks().spawn("small", take(&semaphore, 1, &log, "small"));
    co_await sleep_for(1ms);
    co_await group.stop(1s);
    co_await sleep_for(1ms);
    EXPECT_EQ(log, (Log{"big fails: waiting for room: cancelled", "small has it"}));
  });
  EXPECT_EQ(semaphore.available(), 10u);
}

TEST(Semaphore, RefusesACancelledCallerEvenWhereThereIsRoom) {
  TestLoop loop;
  Log log;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    co_await group.stop(1s);
    group.spawn("late", take(&semaphore, 1, &log, "late"));
    co_await group.wait();
  });
  EXPECT_EQ(log, Log{"late fails: waiting for room: cancelled"});
}

TEST(Semaphore, APermitThatIsMovedIsHeldOnce) {
  TestLoop loop;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    auto first = co_await semaphore.acquire(4);
    Semaphore::Permit second = std::move(first.value());
    EXPECT_EQ(semaphore.available(), 6u);
    auto third = co_await semaphore.acquire(2);
    second = std::move(third.value());
    EXPECT_EQ(semaphore.available(), 8u);
  });
  EXPECT_EQ(semaphore.available(), 10u);
}

TEST(Semaphore, GivesWithoutWaitingOnlyWhatNobodyWaitsFor) {
  TestLoop loop;
  Log log;
  Semaphore semaphore(loop.executor(), 10);
  loop.run([&]() -> Awaitable<void> {
    auto first = semaphore.try_acquire(6);
    EXPECT_TRUE(first.has_value());
    EXPECT_FALSE(semaphore.try_acquire(5).has_value());
    loop.tasks().spawn("big", take(&semaphore, 5, &log, "big"));
    co_await next_turn();
    co_await next_turn();
    EXPECT_FALSE(semaphore.try_acquire(1).has_value()) << "the big one would starve";
    first->release_all();
  });
  EXPECT_EQ(log, Log{"big has it"});
  EXPECT_EQ(semaphore.available(), 10u);
}

TEST(Semaphore, AWaiterTornDownWithTheLoopGivesBack) {
  Log log;
  auto context = std::make_unique<asio::io_context>();
  Semaphore semaphore(context->get_executor(), 2);
  asio::co_spawn(*context, take(&semaphore, 2, &log, "first"), [](std::exception_ptr) {});
  context->run();
  context->restart();
  auto hold = [&]() -> Awaitable<void> {
    auto held = co_await semaphore.acquire(2);
    std::ignore = co_await sleep_for(1h);
  };
  asio::co_spawn(*context, hold, [](std::exception_ptr) {});
  asio::co_spawn(*context, take(&semaphore, 1, &log, "waits"), [](std::exception_ptr) {});
  context->poll();
  EXPECT_EQ(semaphore.available(), 0u);
  context.reset();
  EXPECT_EQ(semaphore.available(), 2u);
  EXPECT_EQ(log, Log{"first has it"});
}

}  // namespace
}  // namespace grove
