#include "coordinator/members.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "net/parallel.h"

namespace grove {
namespace {

Awaitable<void> probe_one(Services const& services, Config const& config, Member& member) {
  WorkerClient worker(services.http, address_of(config.workers[member.worker_index]));
  auto health = co_await worker.health();
  if (health.has_value()) {
    member.health = std::move(health).value();
  } else {
    member.error = std::move(health).error();
  }
}

WorkerInventory inventory_of(std::size_t worker_index, std::vector<RefReport> reports) {
  WorkerInventory inventory{.worker_index = worker_index, .refs = {}};
  inventory.refs.reserve(reports.size());
  for (auto& report : reports) {
    inventory.refs.push_back({.ref = std::move(report.ref),
                              .is_sound = report.missing_count == 0,
                              .missing_count = report.missing_count,
                              .verified_ms = report.verified_ms});
  }
  return inventory;
}

void sort_by_worker(std::vector<WorkerInventory>& inventories) {
  std::sort(inventories.begin(), inventories.end(),
            [](auto const& a, auto const& b) { return a.worker_index < b.worker_index; });
}

Awaitable<void> survey_one(Services const& services, Config const& config,
                           std::optional<CheckpointKey> const& only, Member& member,
                           ClusterView& view) {
  co_await probe_one(services, config, member);
  if (!member.health) co_return;
  WorkerClient worker(services.http, address_of(config.workers[member.worker_index]));
  auto page = co_await worker.inventory(only);
  if (page.has_error()) {
    member.health.reset();
    member.error = std::move(page).error();
    co_return;
  }
  view.inventories.push_back(inventory_of(member.worker_index, std::move(page.value().refs)));
  view.marks.push_back({.worker_index = member.worker_index,
                        .tombstones = std::move(page.value().tombstones),
                        .pins = std::move(page.value().pins)});
}

// One of each identity, in the order of their keys: what `both` makes of those of all workers.
template <typename Mark, typename Both>
std::vector<Mark> folded(std::vector<ClusterView::Marks> const& marks,
                         std::vector<Mark> ClusterView::Marks::*field, Both both) {
  std::map<CheckpointKey, Mark> by_key;
  for (auto const& of_worker : marks) {
    for (auto const& mark : of_worker.*field) {
      auto const [known, is_new] = by_key.emplace(mark.key, mark);
      if (!is_new) known->second = both(known->second, mark);
    }
  }
  std::vector<Mark> all;
  for (auto& [key, mark] : by_key) all.push_back(std::move(mark));
  return all;
}

// Not a coroutine itself: it only calls one.
using Question = std::function<Awaitable<Result<InventoryPage>>(WorkerClient&)>;

Awaitable<void> ask_one(Services const& services, Config const& config, std::size_t worker_index,
                        Question const& question, std::vector<WorkerInventory>& inventories) {
  WorkerClient worker(services.http, address_of(config.workers[worker_index]));
  auto page = co_await question(worker);
  if (!page) co_return;
  inventories.push_back(inventory_of(worker_index, std::move(page.value().refs)));
}

Awaitable<std::vector<WorkerInventory>> ask_all(Services const& services, Config const& config,
                                                std::span<Member const> members,
                                                Question const& question) {
  std::vector<WorkerInventory> inventories;
  std::vector<Awaitable<void>> tasks;
  for (auto const& member : members) {
    if (!member.health) continue;
    tasks.push_back(ask_one(services, config, member.worker_index, question, inventories));
  }
  co_await run_all(std::move(tasks));
  sort_by_worker(inventories);
  co_return inventories;
}

std::vector<Member> members_of(Config const& config) {
  std::vector<Member> members(config.workers.size());
  for (std::size_t index = 0; index < members.size(); ++index) members[index].worker_index = index;
  return members;
}

}  // namespace

std::size_t ClusterView::alive_count() const {
  return static_cast<std::size_t>(std::count_if(
      members.begin(), members.end(), [](Member const& m) { return m.health.has_value(); }));
}

bool ClusterView::sees_all(std::uint32_t redundancy) const {
  return members.size() - alive_count() < redundancy;
}

bool ClusterView::has_forgotten(CheckpointKey const& key, Generation generation) const {
  auto const found = std::ranges::lower_bound(tombstones, key, {}, &Tombstone::key);
  return found != tombstones.end() && found->key == key && found->covers(generation);
}

std::string ClusterView::summary() const {
  auto text = fmt::format("{} of {} workers answer", alive_count(), members.size());
  for (auto const& member : members) {
    if (!member.health) text += "; " + member.error.message;
  }
  return text;
}

WorkerAddress address_of(DeviceConfig const& worker) {
  return {.rank = worker.rank,
          .id = {},
          .endpoint = {.host = worker.ip, .port = worker.port, .name = worker.host}};
}

void count_failed_try(Services const& services, DeviceConfig const& worker) {
  services.metrics.add(Count::transfer_errors, {fmt::to_string(worker.rank.value)});
}

Awaitable<std::vector<Member>> probe(Services const& services, Config const& config) {
  auto members = members_of(config);
  std::vector<Awaitable<void>> tasks;
  for (auto& member : members) tasks.push_back(probe_one(services, config, member));
  co_await run_all(std::move(tasks));
  co_return members;
}

Awaitable<ClusterView> survey(Services const& services, Config const& config,
                              std::optional<CheckpointKey> only) {
  ClusterView view;
  view.members = members_of(config);
  std::vector<Awaitable<void>> tasks;
  for (auto& member : view.members) {
    tasks.push_back(survey_one(services, config, only, member, view));
  }
  co_await run_all(std::move(tasks));
  sort_by_worker(view.inventories);
  view.tombstones = folded<Tombstone>(view.marks, &ClusterView::Marks::tombstones, merged);
  view.pins = folded<Pin>(view.marks, &ClusterView::Marks::pins,
                          [](Pin const& a, Pin const& b) { return is_later(b, a) ? b : a; });
  co_return view;
}

Awaitable<std::vector<WorkerInventory>> inventories_of(Services const& services,
                                                       Config const& config,
                                                       std::span<Member const> members,
                                                       CheckpointKey key) {
  Question const question = [&key](WorkerClient& worker) { return worker.inventory(key); };
  co_return co_await ask_all(services, config, members, question);
}

Awaitable<std::vector<WorkerInventory>> manifests_under(Services const& services,
                                                        Config const& config,
                                                        std::span<Member const> members,
                                                        std::string prefix) {
  Question const question = [&prefix](WorkerClient& worker) {
    return worker.manifests_under(prefix);
  };
  co_return co_await ask_all(services, config, members, question);
}

}  // namespace grove
