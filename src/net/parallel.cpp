#include "net/parallel.h"

#include <utility>

#include "net/task_group.h"

namespace grove {

Awaitable<void> run_all(std::vector<Awaitable<void>> tasks) {
  auto const executor = co_await asio::this_coro::executor;
  TaskGroup group(executor);
  for (auto& task : tasks) group.spawn("branch", std::move(task));
  co_await group.wait();
}

}  // namespace grove
