// "Something changed": wakes every coroutine that waits.
// Threads: all members on the signal's executor.
#pragma once

#include <chrono>
#include <memory>

#include "net/asio.h"

namespace grove {

class Signal {
 public:
  explicit Signal(asio::any_io_executor executor);
  void notify_all();
  // Returns at the next notify_all(), at the deadline, or when cancelled (at once if the caller is
  // already); check your condition in a loop, and is_cancelled() too. True when notified.
  Awaitable<bool> wait_until(std::chrono::steady_clock::time_point deadline);
  Awaitable<bool> wait();

 private:
  struct State;
  struct Waiter;
  std::shared_ptr<State> state_;
};

}  // namespace grove
