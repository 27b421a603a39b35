#include "net/parallel.h"

#include <exception>
#include <utility>

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <spdlog/spdlog.h>

namespace grove {
namespace {

// Cancellation reaches the branch as an error_code on its next await, as with any spawned root.
// By default a spawned coroutine only listens to terminal cancellation.
Awaitable<void> branch(Awaitable<void> task) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

}  // namespace

Awaitable<void> run_all(std::vector<Awaitable<void>> tasks) {
  if (tasks.empty()) co_return;
  auto const executor = co_await asio::this_coro::executor;
  using Operation =
      decltype(asio::co_spawn(executor, branch(std::move(tasks.front())), asio::deferred));
  std::vector<Operation> operations;
  operations.reserve(tasks.size());
  for (auto& task : tasks) {
    operations.push_back(asio::co_spawn(executor, branch(std::move(task)), asio::deferred));
  }
  auto group = asio::experimental::make_parallel_group(std::move(operations));
  auto const [order, exceptions] =
      co_await group.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  for (auto const& exception : exceptions) {
    if (exception) std::rethrow_exception(exception);
  }
}

}  // namespace grove
