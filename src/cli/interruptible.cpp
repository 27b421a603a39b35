#include "cli/interruptible.h"

#include <csignal>
#include <utility>

#include "net/task_group.h"

namespace grove {
namespace {

Awaitable<void> run_and_release(Awaitable<void> task, asio::signal_set& signals) {
  co_await std::move(task);
  signals.cancel();
}

Awaitable<void> cancel_at_signal(asio::signal_set& signals, TaskGroup& tasks, bool& interrupted) {
  auto const [error, signal] = co_await signals.async_wait(as_result);
  if (error) co_return;
  interrupted = true;
  tasks.cancel();
}

}  // namespace

bool run_interruptible(asio::io_context& io, std::string name, Awaitable<void> task) {
  asio::signal_set signals(io, SIGINT, SIGTERM);
  bool interrupted = false;
  TaskGroup tasks(io.get_executor());
  TaskGroup watch(io.get_executor());
  // The watch first: a task that ends at once has something to release.
  watch.spawn("interrupt", cancel_at_signal(signals, tasks, interrupted));
  tasks.spawn(std::move(name), run_and_release(std::move(task), signals));
  io.run();
  return !interrupted;
}

}  // namespace grove
