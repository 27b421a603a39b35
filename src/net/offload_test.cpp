#include "net/offload.h"

#include <sys/resource.h>

#include <atomic>
#include <latch>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "net/parallel.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

TEST(Offload, RunsElsewhereAndComesBack) {
  TestLoop loop;
  Offload offload(1);
  loop.run([&]() -> Awaitable<void> {
    auto const here = std::this_thread::get_id();
    auto const there = co_await offload.run([] { return std::this_thread::get_id(); });
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
  });
}

TEST(Offload, GivesWayToOtherWorkWithAllItsThreadsAndNoOther) {
  TestLoop loop;
  int const usual = ::getpriority(PRIO_PROCESS, 0);
  Offload offload(4, {.nice = 19, .io = IoPriority::idle});
  std::latch all_here(4);
  auto const look = [&]() -> Awaitable<void> {
    auto const nice = co_await offload.run([&] {
      all_here.arrive_and_wait();  // so that each of them runs on a thread of its own
      return ::getpriority(PRIO_PROCESS, 0);
    });
    EXPECT_EQ(nice, 19);
  };
  loop.run([&]() -> Awaitable<void> {
    std::vector<Awaitable<void>> looks;
    for (int i = 0; i < 4; ++i) looks.push_back(look());
    co_await run_all(std::move(looks));
  });
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), usual);
}

TEST(Offload, HandsOnValuesThatOnlyMove) {
  TestLoop loop;
  Offload offload(1);
  loop.run([&]() -> Awaitable<void> {
    auto owned = std::make_unique<int>(7);
    auto work = [owned = std::move(owned)]() mutable { return std::move(owned); };
    auto const back = co_await offload.run(std::move(work));
    EXPECT_EQ(*back, 7);
  });
}

TEST(Offload, WaitsForWorkThatReturnsNothing) {
  TestLoop loop;
  Offload offload(1);
  loop.run([&]() -> Awaitable<void> {
    int done = 0;
    co_await offload.run([&done] { ++done; });
    EXPECT_EQ(done, 1);
  });
}

TEST(Offload, HandsOnFailures) {
  TestLoop loop;
  Offload offload(1);
  loop.run([&]() -> Awaitable<void> {
    auto work = []() -> Result<int> { return fail(ErrorKind::exhausted, "full"); };
    auto const result = co_await offload.run(work);
    EXPECT_EQ(result.error().kind, ErrorKind::exhausted);
  });
}

TEST(Offload, KeepsTheLoopTurningMeanwhile) {
  TestLoop loop;
  Offload offload(1);
  std::binary_semaphore gate(0);
  loop.run([&]() -> Awaitable<void> {
    auto opener = [](std::binary_semaphore* closed) -> Awaitable<void> {
      closed->release();
      co_return;
    };
    loop.tasks().spawn("opener", opener(&gate));
    co_await offload.run([&gate] { gate.acquire(); });
  });
}

Awaitable<void> work_on_own_frame(Offload* offload, std::binary_semaphore* gate,
                                  std::atomic<bool>* begun, bool* ended) {
  int local = 0;
  co_await offload->run([&local, gate, begun] {
    *begun = true;
    gate->acquire();
    local = 1;
  });
  *ended = local == 1;
}

TEST(Offload, ReturnsOnlyWhenTheWorkHasEndedThoughCancelled) {
  TestLoop loop;
  Offload offload(1);
  std::binary_semaphore gate(0);
  std::atomic<bool> begun = false;
  bool ended = false;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("works", work_on_own_frame(&offload, &gate, &begun, &ended));
    while (!begun) co_await sleep_for(1ms);
    group.cancel();
    EXPECT_FALSE(co_await group.wait_until(std::chrono::steady_clock::now() + 10ms));
    gate.release();
    co_await group.wait();
  });
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace grove
