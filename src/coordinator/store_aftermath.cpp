// What a store does once its outcome is known: it gives back what it sent in vain, or forgets what
// an earlier store that was cut off left behind.
#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "coordinator/store_job.h"
#include "net/parallel.h"

namespace grove {

// A store that no further try can complete leaves nothing behind. One that failed because workers
// were away does: run again, it moves only what is missing.
Awaitable<void> StoreJob::give_back() {
  auto const full = full_workers();
  if (full.empty() && !stopped_for_) co_return;
  std::set<std::size_t> given;
  for (auto const& shard : shards_) {
    for (auto const& send : shard.sends) given.insert(send.worker_index);
  }
  co_await give_back_of_all(given);
}

// Those for which others stood in, and that have no room for what came before that.
Awaitable<void> StoreJob::give_back_room() {
  auto full = full_workers();
  for (auto const& copy : copies_) {
    if (copy.kept_by) full.erase(*copy.kept_by);
  }
  co_await give_back_of_all(full);
  // What the others hold for this store its refs name: nothing is to be kept for its sake.
  std::vector<Awaitable<void>> tasks;
  for (auto const& holder : holders_) tasks.push_back(end_lease_of(holder.worker_index));
  co_await run_all(std::move(tasks));
}

Awaitable<void> StoreJob::end_lease_of(std::size_t worker_index) {
  auto worker = client_of(worker_index);
  std::ignore = co_await worker.end_lease();  // best effort: it ends by itself, too
}

std::set<std::size_t> StoreJob::full_workers() const {
  auto const is_full = [](Error const& error) { return error.kind == ErrorKind::exhausted; };
  std::set<std::size_t> full;
  for (auto const& shard : shards_) {
    for (auto const& send : shard.sends) {
      if (send.error && is_full(*send.error)) full.insert(send.worker_index);
    }
  }
  for (auto const& [worker, error] : header_errors_) {
    if (is_full(error)) full.insert(worker);
  }
  return full;
}

Awaitable<void> StoreJob::give_back_of_all(std::set<std::size_t> workers) {
  std::vector<Awaitable<void>> tasks;
  for (auto const worker : workers) tasks.push_back(give_back_of(worker));
  co_await run_all(std::move(tasks));
}

Awaitable<void> StoreJob::give_back_of(std::size_t worker_index) {
  auto worker = client_of(worker_index);
  for (auto const& ref : committed_refs_) {
    // Once a manifest may be out the generation may be what a gather gives.
    if (ref.worker_index != worker_index || has_begun_commit_) continue;
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
  // Where not all were heard, a manifest may be on one that was not.
  if (before_.alive_count() < config_.workers.size()) co_return;
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
