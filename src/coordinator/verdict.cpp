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

// The shard that this is a copy of, sound or not, if it is one of this generation.
std::optional<ShardIndex> copied_shard(Manifest const& manifest, CheckpointKey const& key,
                                       HeldRef const& held) {
  auto const& ref = held.ref;
  if (!ref.name.shard || ref.key != key || ref.generation != manifest.generation) {
    return std::nullopt;
  }
  auto const index = ref.name.shard->value;
  if (index >= manifest.shards.size() || ref.target != manifest.shards[index].list) {
    return std::nullopt;
  }
  return ref.name.shard;
}

}  // namespace

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories) {
  auto const key = CheckpointKey::parse(manifest.identity);
  auto const stored_ms = static_cast<std::int64_t>(manifest.generation.value);
  CopyCount count;
  std::vector<std::size_t> per_shard(manifest.shards.size(), 0);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto const shard = copied_shard(manifest, key.value(), held);
      if (!shard) continue;
      if (!held.is_sound) {
        count.damaged.insert(inventory.worker_index);
        continue;
      }
      ++per_shard[shard->value];
      ++count.live;
      count.holders.insert(inventory.worker_index);
      auto const proven_ms = held.verified_ms.value_or(stored_ms);
      count.proven_ms = std::min(count.proven_ms.value_or(proven_ms), proven_ms);
    }
  }
  count.wanted = manifest.shards.size() * manifest.redundancy;
  count.fewest = per_shard.empty() ? 0 : *std::min_element(per_shard.begin(), per_shard.end());
  for (std::uint32_t shard = 0; shard < per_shard.size(); ++shard) {
    if (per_shard[shard] == 0) count.nowhere.push_back(shard);
  }
  return count;
}

std::set<std::size_t> workers_that_lack(Manifest const& manifest,
                                        std::span<WorkerInventory const> inventories,
                                        std::set<std::size_t> const& answering, RingSize ring) {
  auto const key = CheckpointKey::parse(manifest.identity);
  auto const planned = place_copies(static_cast<std::uint32_t>(manifest.shards.size()),
                                    ring.workers_count, ring.redundancy);
  if (planned.has_error()) return {};
  std::set<std::pair<std::size_t, ShardIndex>> copies;
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto const shard = copied_shard(manifest, key.value(), held);
      if (shard && held.is_sound) copies.emplace(inventory.worker_index, *shard);
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
  if (!silent.empty()) text += fmt::format("; {} does not answer", silent);
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

// "shards 1, 2"
std::string lost_shards(CopyCount const& copies) {
  return fmt::format("{} {}", copies.nowhere.size() == 1 ? "shard" : "shards",
                     fmt::join(copies.nowhere, ", "));
}

}  // namespace

Judgement judge(Manifest const& manifest, CopyCount const& copies,
                std::span<WorkerInventory const> inventories, Circumstances const& circumstances) {
  auto const wanted = std::max(manifest.redundancy, circumstances.redundancy);
  if (copies.fewest == 0) {
    auto const shards = lost_shards(copies);
    if (circumstances.all_answer()) {
      return {Verdict::lost, fmt::format("lost: {} has no sound copy on any worker{}", shards,
                                         reasons(copies, circumstances))};
    }
    return {Verdict::out_of_reach,
            fmt::format("out of reach: {} has no copy on the workers that answer{}", shards,
                        reasons(copies, circumstances))};
  }
  if (copies.fewest >= wanted) {
    auto const hosts = hosts_where(
        circumstances, [&](std::size_t index) { return copies.holders.contains(index); });
    return {Verdict::safe, fmt::format("safe: {} of {} verified copies on {}: you may delete the "
                                       "local file",
                                       wanted, wanted, hosts)};
  }
  auto workers = circumstances.workers;
  auto const plan = plan_repair(manifest, inventories, workers, circumstances.redundancy);
  bool const is_healing =
      circumstances.repairs_by_itself && plan.short_of.empty() && !plan.copies.empty();
  if (is_healing) {
    auto const targets = hosts_where(circumstances, [&](std::size_t index) {
      return std::ranges::any_of(plan.copies,
                                 [&](CopyToMake const& copy) { return copy.to == index; });
    });
    return {Verdict::healing,
            fmt::format("healing: {} of {} copies{}; being made again on {}", copies.fewest, wanted,
                        reasons(copies, circumstances), targets)};
  }
  return {Verdict::at_risk,
          fmt::format("at risk: {} of {} copies{}{}", copies.fewest, wanted,
                      reasons(copies, circumstances), what_next(plan, circumstances))};
}

}  // namespace grove
