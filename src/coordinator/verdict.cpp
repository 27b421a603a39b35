#include "coordinator/verdict.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "plan/placement.h"

namespace grove {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::safe:
      return "safe";
    case Verdict::healing:
      return "healing";
    case Verdict::at_risk:
      return "at_risk";
    case Verdict::out_of_reach:
      return "out_of_reach";
    case Verdict::lost:
      return "lost";
    case Verdict::unfinished:
      return "unfinished";
  }
  return "unfinished";
}

namespace {

bool is_header(Manifest const& manifest, Ref const& ref) {
  return !ref.name.shard && ref.generation == manifest.generation &&
         ref.key.identity() == manifest.identity;
}

}  // namespace

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::uint32_t redundancy) {
  auto const stored_ms = static_cast<std::int64_t>(manifest.generation.value);
  CopyCount count;
  std::vector<std::size_t> per_shard(manifest.shards.size(), 0);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      bool const is_shard = is_copy(manifest, held.ref);
      if (!is_shard && !is_header(manifest, held.ref)) continue;
      if (!held.is_sound) {
        count.damaged.insert(inventory.worker_index);
        continue;
      }
      if (is_shard) {
        ++per_shard[held.ref.name.shard->value];
        ++count.live;
        count.holders.insert(inventory.worker_index);
      } else {
        ++count.headers;
      }
      auto const proven_ms = held.verified_ms.value_or(stored_ms);
      count.proven_ms = std::min(count.proven_ms.value_or(proven_ms), proven_ms);
    }
  }
  count.wanted_each = copies_wanted(manifest, redundancy);
  count.wanted = manifest.shards.size() * count.wanted_each;
  count.fewest = count.headers;
  for (auto const copies : per_shard) count.fewest = std::min(count.fewest, copies);
  for (std::uint32_t shard = 0; shard < per_shard.size(); ++shard) {
    if (per_shard[shard] == 0) count.nowhere.push_back(shard);
  }
  return count;
}

std::set<std::size_t> workers_that_lack(Manifest const& manifest,
                                        std::span<WorkerInventory const> inventories,
                                        std::set<std::size_t> const& answering, RingSize ring) {
  auto const planned = place_copies(static_cast<std::uint32_t>(manifest.shards.size()),
                                    ring.workers_count, ring.redundancy);
  if (planned.has_error()) return {};
  std::set<std::pair<std::size_t, ShardIndex>> copies;
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      if (held.is_sound && is_copy(manifest, held.ref)) {
        copies.emplace(inventory.worker_index, *held.ref.name.shard);
      }
    }
  }
  std::set<std::size_t> lacking;
  for (auto const& copy : planned.value()) {
    bool const is_there = copies.contains({copy.worker_index, copy.shard});
    if (!is_there && answering.contains(copy.worker_index)) lacking.insert(copy.worker_index);
  }
  return lacking;
}

bool Circumstances::all_answer() const {
  return std::ranges::all_of(
      workers, [](RepairWorker const& worker) { return worker.state == WorkerState::there; });
}

namespace {

template <typename Predicate>
std::string hosts_where(Circumstances const& circumstances, Predicate predicate) {
  std::vector<std::string> hosts;
  for (std::size_t index = 0; index < circumstances.workers.size(); ++index) {
    if (predicate(index)) hosts.push_back(circumstances.hosts[index]);
  }
  return fmt::format("{}", fmt::join(hosts, ", "));
}

// "; pi4-3 does not answer; pi4-2 has damage"
std::string reasons(CopyCount const& copies, Circumstances const& circumstances) {
  std::string text;
  auto const silent = hosts_where(circumstances, [&](std::size_t index) {
    return circumstances.workers[index].state != WorkerState::there;
  });
  if (!silent.empty()) {
    bool const are_many = silent.find(", ") != silent.npos;
    text += fmt::format("; {} {} not answer", silent, are_many ? "do" : "does");
  }
  auto const damaged =
      hosts_where(circumstances, [&](std::size_t index) { return copies.damaged.contains(index); });
  if (!damaged.empty()) text += fmt::format("; damaged on {}", damaged);
  return text;
}

// "10 min", "1500 ms"
std::string short_period(std::chrono::milliseconds period) {
  auto const ms = period.count();
  if (ms % 60'000 == 0) return fmt::format("{} min", ms / 60'000);
  if (ms % 1000 == 0) return fmt::format("{} s", ms / 1000);
  return fmt::format("{} ms", ms);
}

// Why nobody makes the missing copies now, and what would help.
std::string what_next(RepairPlan const& plan, Circumstances const& circumstances) {
  if (!circumstances.repairs_by_itself) return ": grove repair makes them again";
  if (!plan.short_of.empty()) {
    return "; no other worker can give or take a copy: bring one back, or add one with room";
  }
  return fmt::format(": after {} the copies are made again elsewhere",
                     short_period(circumstances.repair_after));
}

// "shards 1, 2 have"
std::string lost_parts_have(CopyCount const& copies) {
  if (copies.nowhere.empty()) return "the header has";
  bool const is_one = copies.nowhere.size() == 1;
  return fmt::format("{} {} {}", is_one ? "shard" : "shards", fmt::join(copies.nowhere, ", "),
                     is_one ? "has" : "have");
}

}  // namespace

Judgement judge(Manifest const& manifest, CopyCount const& copies,
                std::span<WorkerInventory const> inventories, Circumstances const& circumstances) {
  auto const wanted = copies.wanted_each;
  if (copies.fewest == 0) {
    auto const parts_have = lost_parts_have(copies);
    if (circumstances.all_answer()) {
      return {Verdict::lost, fmt::format("lost: {} no sound copy on any worker{}", parts_have,
                                         reasons(copies, circumstances))};
    }
    return {Verdict::out_of_reach,
            fmt::format("out of reach: {} no copy on the workers that answer{}", parts_have,
                        reasons(copies, circumstances))};
  }
  if (copies.is_safe()) {
    auto const hosts = hosts_where(
        circumstances, [&](std::size_t index) { return copies.holders.contains(index); });
    return {Verdict::safe, fmt::format("safe: {} of {} verified copies on {}: you may delete the "
                                       "local file",
                                       wanted, wanted, hosts)};
  }
  auto workers = circumstances.workers;
  auto const plan = plan_repair(manifest, inventories, workers, circumstances.redundancy);
  auto const gets_something = [&](std::size_t index) {
    return std::ranges::find(plan.manifests, index) != plan.manifests.end() ||
           std::ranges::any_of(plan.copies,
                               [&](CopyToMake const& copy) { return copy.to == index; });
  };
  auto const targets = hosts_where(circumstances, gets_something);
  if (circumstances.repairs_by_itself && plan.short_of.empty() && !targets.empty()) {
    return {Verdict::healing,
            fmt::format("healing: {} of {} copies{}; being made again on {}", copies.fewest, wanted,
                        reasons(copies, circumstances), targets)};
  }
  return {Verdict::at_risk,
          fmt::format("at risk: {} of {} copies{}{}", copies.fewest, wanted,
                      reasons(copies, circumstances), what_next(plan, circumstances))};
}

}  // namespace grove
