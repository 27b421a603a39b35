// What a store does once its outcome is known: it gives back what it sent in vain, or forgets what
// an earlier store that was cut off left behind.
#include <algorithm>
#include <tuple>

#include <spdlog/spdlog.h>

#include "coordinator/store_job.h"
#include "net/parallel.h"

namespace grove {

// A store that no further try can complete leaves nothing behind. One that failed because workers
// were away does: run again, it moves only what is missing.
Awaitable<void> StoreJob::give_back() {
  auto const is_full = [](Error const& error) { return error.kind == ErrorKind::exhausted; };
  bool const no_room =
      std::any_of(copies_.begin(), copies_.end(),
                  [&](CopyOutcome const& c) { return c.error && is_full(*c.error); }) ||
      std::any_of(header_errors_.begin(), header_errors_.end(),
                  [&](HolderError const& failure) { return is_full(failure.error); });
  if (!no_room && !stopped_for_) co_return;
  std::vector<Awaitable<void>> tasks;
  for (auto const holder : holders_) tasks.push_back(give_back_of(holder));
  co_await run_all(std::move(tasks));
}

Awaitable<void> StoreJob::give_back_of(std::size_t worker_index) {
  auto worker = client_of(worker_index);
  for (auto const& ref : committed_refs_) {
    if (ref.worker_index != worker_index) continue;
    std::ignore = co_await worker.delete_ref(ref.ref, services_.coordinator_id, {});  // best effort
  }
  auto const released = co_await worker.release();
  if (released.has_error()) {
    spdlog::warn("{}: what the failed store sent stays until it is collected: {}",
                 request_.key.identity(), released.error().message);
  }
}

// What a store that was cut off left behind: refs of older generations without a manifest. Their
// chunks are kept or collected by their own merits.
Awaitable<void> StoreJob::forget_superseded() {
  for (auto const& inventory : before_.inventories) {
    auto worker = client_of(inventory.worker_index);
    for (auto const& held : inventory.refs) {
      bool const is_complete = std::any_of(
          before_.inventories.begin(), before_.inventories.end(), [&](auto const& other) {
            return std::any_of(other.refs.begin(), other.refs.end(), [&](HeldRef const& ref) {
              return !ref.ref.name.shard && ref.ref.generation == held.ref.generation;
            });
          });
      if (is_complete || held.ref.generation >= manifest_->generation) continue;
      auto const forgotten = co_await worker.delete_ref(held.ref, services_.coordinator_id, {});
      if (forgotten.has_error()) {
        spdlog::warn("{}: an unfinished generation stays until it is collected: {}",
                     request_.key.identity(), forgotten.error().message);
      }
    }
  }
}

}  // namespace grove
