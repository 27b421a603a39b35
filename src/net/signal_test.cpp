#include "net/signal.h"

#include <vector>

#include <gtest/gtest.h>

#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Awaitable<void> wait_for(Signal* signal, std::vector<bool>* notified) {
  bool const heard = co_await signal->wait();
  notified->push_back(heard);
}

TEST(Signal, WakesEveryoneWhoWaits) {
  TestLoop loop;
  Signal signal(loop.executor());
  std::vector<bool> notified;
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("a", wait_for(&signal, &notified));
    loop.tasks().spawn("b", wait_for(&signal, &notified));
    co_await sleep_for(2ms);
    EXPECT_TRUE(notified.empty());
    signal.notify_all();
  });
  EXPECT_EQ(notified, (std::vector<bool>{true, true}));
}

TEST(Signal, DoesNotWakeThoseWhoComeLater) {
  TestLoop loop;
  Signal signal(loop.executor());
  loop.run([&]() -> Awaitable<void> {
    signal.notify_all();
    EXPECT_FALSE(co_await signal.wait_until(Clock::now() + 5ms));
  });
}

TEST(Signal, EndsWithFalseWhenCancelled) {
  TestLoop loop;
  Signal signal(loop.executor());
  std::vector<bool> notified;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    group.spawn("waits", wait_for(&signal, &notified));
    co_await sleep_for(2ms);
    co_await group.stop(1s);
    group.spawn("comes cancelled", wait_for(&signal, &notified));
    co_await group.wait();
  });
  EXPECT_EQ(notified, (std::vector<bool>{false, false}));
}

}  // namespace
}  // namespace grove
