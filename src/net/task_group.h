// Owns spawned coroutines: every one has a name, an owner and an end. The only place that spawns.
//
// Spawned roots take arguments by value. Cancellation comes to them as an error_code
// (operation_aborted) of the await that is under way, not as an exception, so clean-up can await
// work. It stays: later waits and calls of net/ fail at once with `cancelled`, offloaded work runs.
// An exception that escapes a root is a bug: it is logged and the process aborts (crash-only).
// Threads: all members on the group's executor.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "net/asio.h"
#include "net/semaphore.h"
#include "net/signal.h"

namespace grove {

class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  // Tasks must have ended: asserts is_empty().
  ~TaskGroup();

  // Runs `task` until it ends; it begins at once where the caller is on the executor already, up to
  // its first await that waits. `name` is for logs. Once stop() was called a task starts cancelled.
  void spawn(std::string name, Awaitable<void> task);

  // Asks every task to unwind (total cancellation).
  void cancel();
  // Waits until no task is left. A cancellation of the caller is passed on to the tasks; wait()
  // returns only when they have ended.
  Awaitable<void> wait();
  // Waits until no task is left (true) or the deadline (false), whatever becomes of the caller.
  Awaitable<bool> wait_until(std::chrono::steady_clock::time_point deadline);
  // cancel(), then waits at most `grace`, then cancels again with terminal force and waits.
  // Logs the names of those that had to be forced.
  Awaitable<void> stop(std::chrono::milliseconds grace);

  std::size_t count() const;
  bool is_empty() const { return count() == 0; }
  asio::any_io_executor executor() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// True once the calling coroutine was asked to unwind.
Awaitable<bool> is_cancelled();

// Waits, or returns early (false) when cancelled.
Awaitable<bool> sleep_for(std::chrono::milliseconds duration);

}  // namespace grove
