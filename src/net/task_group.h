// Owns spawned coroutines: every one has a name, an owner and an end. The only place that spawns.
//
// Spawned roots take arguments by value; cancellation comes to them as an error_code
// (operation_aborted) on the next await, not as an exception, so clean-up can await work.
// An exception that escapes a root is a bug: it is logged and the process aborts (crash-only).
// Threads: all members on the group's executor.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "net/asio.h"

namespace grove {

class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  // Tasks must have ended: asserts is_empty().
  ~TaskGroup();

  // Runs `task` until it ends. `name` is for logs.
  void spawn(std::string name, Awaitable<void> task);

  // Asks every task to unwind (total cancellation).
  void cancel();
  // Waits until no task is left.
  Awaitable<void> wait();
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

// A count that tasks on one executor wait for: room for a number of bytes, or of jobs at once.
// First come, first served, so none starves. Threads: one executor.
class Semaphore {
 public:
  Semaphore(asio::any_io_executor executor, std::uint64_t count);

  // Held while it lives. Move-only.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit();
    // Gives back a part early; `count` must not exceed what is held.
    void release(std::uint64_t count);
    void release_all();

   private:
    friend class Semaphore;
    Permit(Semaphore* owner, std::uint64_t count) : owner_(owner), count_(count) {}
    Semaphore* owner_ = nullptr;
    std::uint64_t count_ = 0;
  };

  // Waits for `count` (at most the whole) at once. Fails: cancelled.
  Awaitable<Result<Permit>> acquire(std::uint64_t count);
  std::uint64_t available() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// "Something changed": wakes every coroutine that waits. Threads: one executor.
class Signal {
 public:
  explicit Signal(asio::any_io_executor executor);
  void notify_all();
  // Returns at the next notify_all(), at the deadline, or when cancelled; check your condition in a
  // loop. True when notified.
  Awaitable<bool> wait_until(std::chrono::steady_clock::time_point deadline);
  Awaitable<bool> wait();

 private:
  asio::steady_timer timer_;
};

}  // namespace grove
