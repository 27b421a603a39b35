// Runs one coroutine on an io_context of its own until it ends; for tests. A test that hangs fails
// with a message instead of blocking the run.
// Threads: run() on the test's thread.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include <gtest/gtest.h>

#include "net/task_group.h"

namespace grove {

// Lets everything run that can.
inline Awaitable<void> settle() {
  for (int i = 0; i < 10; ++i) co_await asio::post(asio::use_awaitable);
}

class TestLoop {
 public:
  asio::io_context& context() { return context_; }
  asio::any_io_executor executor() { return context_.get_executor(); }
  TaskGroup& tasks() { return tasks_; }

  // Runs `body` and the tasks it spawned in tasks() to their end.
  void run(std::function<Awaitable<void>()> body,
           std::chrono::seconds patience = std::chrono::seconds(60)) {
    tasks_.spawn("test", body());
    context_.restart();
    auto const deadline = std::chrono::steady_clock::now() + patience;
    while (!tasks_.is_empty() && std::chrono::steady_clock::now() < deadline) {
      context_.run_one_until(deadline);
    }
    if (tasks_.is_empty()) return;
    ADD_FAILURE() << tasks_.count() << " tasks still run after " << patience.count() << " s";
    std::abort();  // what hangs cannot be unwound, and the tests behind it would hang too
  }

 private:
  asio::io_context context_;
  TaskGroup tasks_{context_.get_executor()};
};

}  // namespace grove
