#include "coordinator/marks.h"

#include <algorithm>
#include <map>
#include <utility>

#include "net/parallel.h"

namespace grove {
namespace {

Awaitable<Result<void>> put(WorkerClient& worker, Services const& services, Tombstone tombstone) {
  co_return co_await worker.put_tombstone(std::move(tombstone), services.coordinator_id);
}

Awaitable<Result<void>> put(WorkerClient& worker, Services const&, Pin pin) {
  co_return co_await worker.put_pin(std::move(pin));
}

template <typename Mark>
Awaitable<void> tell_one(Services const& services, Config const& config, Member const& member,
                         Mark mark, Told& told) {
  auto const& device = config.workers[member.worker_index];
  Result<void> outcome = member.error;
  if (member.health) {
    auto address = address_of(device);
    address.id = member.health->id;
    WorkerClient worker(services.http, std::move(address));
    outcome = co_await put(worker, services, std::move(mark));
  }
  if (outcome.has_value()) {
    told.told.push_back(device.rank);
  } else {
    told.not_told.push_back({member.worker_index, outcome.error()});
  }
}

template <typename Mark>
Awaitable<Told> tell_all(Services const& services, Config const& config,
                         std::span<Member const> members, Mark mark) {
  Told told;
  std::vector<Awaitable<void>> tasks;
  for (auto const& member : members) {
    tasks.push_back(tell_one(services, config, member, mark, told));
  }
  co_await run_all(std::move(tasks));
  std::ranges::sort(told.told);
  co_return told;
}

// `has`: whether the worker's own mark makes the cluster's superfluous.
template <typename Mark, typename Has>
std::vector<UntoldMark<Mark>> untold(ClusterView const& view, std::vector<Mark> const& all,
                                     std::vector<Mark> ClusterView::Marks::*field, Has has) {
  std::vector<UntoldMark<Mark>> untold;
  for (auto const& of_worker : view.marks) {
    std::map<CheckpointKey, Mark const*> own;
    for (auto const& mark : of_worker.*field) own.emplace(mark.key, &mark);
    for (auto const& mark : all) {
      auto const known = own.find(mark.key);
      if (known != own.end() && has(*known->second, mark)) continue;
      untold.push_back({of_worker.worker_index, mark});
    }
  }
  return untold;
}

}  // namespace

std::string Told::later(Config const& config) const {
  std::string text;
  for (auto const& [worker, error] : not_told) {
    auto const& device = config.workers[worker];
    text += fmt::format("; rank {} ({}) is told later: {}", device.rank.value, device.host,
                        error.message);
  }
  return text;
}

Awaitable<Told> tell(Services const& services, Config const& config,
                     std::span<Member const> members, Tombstone tombstone) {
  co_return co_await tell_all(services, config, members, std::move(tombstone));
}

Awaitable<Told> tell(Services const& services, Config const& config,
                     std::span<Member const> members, Pin pin) {
  co_return co_await tell_all(services, config, members, std::move(pin));
}

std::vector<UntoldMark<Tombstone>> untold_tombstones(ClusterView const& view) {
  return untold(view, view.tombstones, &ClusterView::Marks::tombstones,
                [](Tombstone const& own, Tombstone const& all) { return merged(own, all) == own; });
}

std::vector<UntoldMark<Pin>> untold_pins(ClusterView const& view) {
  return untold(view, view.pins, &ClusterView::Marks::pins,
                [](Pin const& own, Pin const& latest) { return !is_later(latest, own); });
}

}  // namespace grove
