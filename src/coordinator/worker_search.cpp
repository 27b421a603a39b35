#include "coordinator/worker_search.h"

#include <tuple>
#include <utility>

#include "coordinator/moved_workers.h"
#include "net/task_group.h"

namespace grove {

WorkerSearch::WorkerSearch(Services& services, Config& config,
                           std::function<void(std::string)> on_line)
    : services_(services),
      config_(config),
      on_line_(std::move(on_line)),
      over_(services.executor) {}

Awaitable<void> WorkerSearch::look() {
  while (is_looking_) {
    std::ignore = co_await over_.wait();  // the flag is looked at again either way
    bool const stopped = co_await is_cancelled();
    if (stopped || !is_looking_) co_return;
  }
  is_looking_ = true;
  co_await follow_moved_workers(services_, config_, LookUp::on_network, [this](std::string line) {
    if (told_.insert(line).second) on_line_(std::move(line));
  });
  is_looking_ = false;
  over_.notify_all();
}

}  // namespace grove
