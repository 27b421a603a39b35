#include "net/throttle.h"

#include <vector>

#include <gtest/gtest.h>

#include "net/parallel.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Clock::duration time_for(Throttle& throttle, std::vector<std::uint64_t> const& payments) {
  TestLoop loop;
  auto const begun = Clock::now();
  loop.run([&]() -> Awaitable<void> {
    std::vector<Awaitable<void>> all;
    for (auto const bytes : payments) all.push_back(throttle.pay(bytes));
    co_await run_all(std::move(all));
  });
  return Clock::now() - begun;
}

TEST(Throttle, IsNeverFasterThanItsRateHoweverManyPayAtOnce) {
  Throttle throttle(10'000);
  EXPECT_GE(time_for(throttle, {500, 500, 500, 500}), 200ms);
  // What was paid before counts no more, once its time is over.
  EXPECT_GE(time_for(throttle, {1000}), 100ms);
}

TEST(Throttle, WithoutARateWaitsForNothing) {
  Throttle throttle(std::nullopt);
  EXPECT_LT(time_for(throttle, {1'000'000'000'000}), 10s);
}

TEST(Throttle, EndsWhenItIsCancelled) {
  TestLoop loop;
  Throttle throttle(1);
  loop.run([&]() -> Awaitable<void> {
    TaskGroup paying(loop.executor());
    paying.spawn("pay", throttle.pay(1'000'000));
    paying.cancel();
    co_await paying.wait();
  });
}

}  // namespace
}  // namespace grove
