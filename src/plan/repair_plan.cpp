#include "plan/repair_plan.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "plan/placement.h"

namespace grove {
namespace {

using Workers = std::set<std::size_t>;

// Who has what of one generation.
struct Holdings {
  std::vector<Workers> sound, damaged;  // by shard
  Workers sound_manifest, damaged_manifest;
};

Holdings holdings_of(Manifest const& manifest, std::span<WorkerInventory const> inventories) {
  Holdings found{.sound = std::vector<Workers>(manifest.shards.size()),
                 .damaged = std::vector<Workers>(manifest.shards.size()),
                 .sound_manifest = {},
                 .damaged_manifest = {}};
  auto const key = CheckpointKey::parse(manifest.identity);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      if (held.ref.key != key.value() || held.ref.generation != manifest.generation) continue;
      if (!held.ref.name.shard) {
        (held.is_sound ? found.sound_manifest : found.damaged_manifest)
            .insert(inventory.worker_index);
        continue;
      }
      if (!is_copy(manifest, held.ref)) continue;
      auto const shard = held.ref.name.shard->value;
      (held.is_sound ? found.sound : found.damaged)[shard].insert(inventory.worker_index);
    }
  }
  return found;
}

class Planner {
 public:
  Planner(Manifest const& manifest, std::span<WorkerInventory const> inventories,
          std::span<RepairWorker> workers, std::uint32_t redundancy)
      : manifest_(manifest),
        held_(holdings_of(manifest, inventories)),
        workers_(workers),
        wanted_(copies_wanted(manifest, redundancy)) {
    auto const per_shard = static_cast<std::uint32_t>(std::min(wanted_, workers.size()));
    auto const ring =
        place_copies(static_cast<std::uint32_t>(manifest.shards.size()), workers.size(), per_shard);
    homes_.resize(manifest.shards.size());
    if (!ring) return;  // fewer workers than copies: the ring says nothing
    for (auto const& copy : ring.value()) {
      if (workers_[copy.worker_index].is_draining) continue;
      homes_[copy.shard.value].push_back(copy.worker_index);
    }
  }

  RepairPlan plan() {
    for (std::uint32_t shard = 0; shard < manifest_.shards.size(); ++shard) plan_shard({shard});
    plan_manifests();
    return std::move(plan_);
  }

 private:
  void plan_shard(ShardIndex shard) {
    auto const& sound = held_.sound[shard.value];
    if (sound.empty()) {
      join_damaged(shard);
      return;
    }
    auto const& homes = homes_[shard.value];
    Workers will_have = kept(sound);
    for (auto const home : homes) {
      if (may_hold_still(shard, home)) will_have.insert(home);
    }
    for (auto const home : homes) make(shard, home, will_have);
    // Mended where it lies, since most of its chunks are there; unless it is surplus.
    auto const there_count = std::ranges::count_if(
        will_have, [&](auto worker) { return workers_[worker].state == WorkerState::there; });
    for (auto const holder : held_.damaged[shard.value]) {
      if (static_cast<std::size_t>(there_count) < wanted_) make(shard, holder, will_have);
    }
    while (will_have.size() < wanted_) {
      auto const best = roomiest(shard, will_have);
      if (!best) {
        plan_.short_of.push_back(shard);
        break;
      }
      make(shard, *best, will_have);
    }
    plan_drops(shard);
  }

  // One that is away. Where others stand in, some home lacked its copy, and may lack it still.
  bool may_hold_still(ShardIndex shard, std::size_t home) const {
    auto const& homes = homes_[shard.value];
    bool const all_at_home = std::ranges::all_of(held_.sound[shard.value], [&](std::size_t holder) {
      return std::ranges::find(homes, holder) != homes.end();
    });
    bool const was_there = manifest_.generation.value <= workers_[home].away_since_ms;
    return workers_[home].state == WorkerState::away && was_there && all_at_home;
  }

  // No copy is whole. What one lacks another may have: the first takes from the others, and once
  // it is whole they are mended from it.
  void join_damaged(ShardIndex shard) {
    plan_.short_of.push_back(shard);
    auto others = held_.damaged[shard.value];
    auto const to = std::ranges::find_if(others, [&](auto worker) { return takes(shard, worker); });
    if (others.size() < 2 || to == others.end()) return;
    CopyToMake join{.shard = shard, .to = *to, .from = {}, .reason = RepairReason::joined};
    others.erase(to);
    join.from.assign(others.begin(), others.end());
    plan_.copies.push_back(std::move(join));
  }

  void make(ShardIndex shard, std::size_t to, Workers& will_have) {
    bool const is_damaged = held_.damaged[shard.value].contains(to);
    if (will_have.contains(to) || !takes(shard, to)) return;
    auto const& sound = held_.sound[shard.value];
    auto const reason = is_damaged                      ? RepairReason::damaged
                        : kept(sound).size() >= wanted_ ? RepairReason::home
                        : sound.size() >= wanted_       ? RepairReason::leaving
                                                        : RepairReason::lost;
    plan_.copies.push_back(
        {.shard = shard, .to = to, .from = {sound.begin(), sound.end()}, .reason = reason});
    if (!is_damaged) workers_[to].promised_bytes += bytes_of(shard);
    will_have.insert(to);
  }

  // Once every worker of the ring has its own, and as many workers as wanted have one; what is to
  // be emptied need not wait for the ring.
  void plan_drops(ShardIndex shard) {
    auto const& homes = homes_[shard.value];
    auto const& sound = held_.sound[shard.value];
    std::vector<std::size_t> keepers;
    for (auto const home : homes) {
      if (sound.contains(home)) keepers.push_back(home);
    }
    bool const is_home = keepers.size() == homes.size();
    for (auto const other : kept(sound)) {
      bool const is_keeper = std::ranges::find(keepers, other) != keepers.end();
      if (keepers.size() < wanted_ && !is_keeper) keepers.push_back(other);
    }
    if (keepers.size() < wanted_) return;
    auto holders = sound;
    holders.insert(held_.damaged[shard.value].begin(), held_.damaged[shard.value].end());
    for (auto const holder : holders) {
      if (std::ranges::find(keepers, holder) != keepers.end()) continue;
      if (!is_home && !workers_[holder].is_draining) continue;
      plan_.drops.push_back({.shard = shard, .from = holder, .witnesses = keepers});
    }
  }

  void plan_manifests() {
    auto const& givers =
        held_.sound_manifest.empty() ? held_.damaged_manifest : held_.sound_manifest;
    plan_.manifest_holders.assign(givers.begin(), givers.end());
    Workers holders;
    for (auto const& copy : plan_.copies) holders.insert(copy.to);
    for (auto const& sound : held_.sound) holders.insert(sound.begin(), sound.end());
    for (auto const holder : holders) {
      bool const has_one = held_.sound_manifest.contains(holder);
      if (!has_one && !workers_[holder].is_draining) plan_.manifests.push_back(holder);
    }
    for (auto const& damaged : held_.damaged) holders.insert(damaged.begin(), damaged.end());
    plan_manifest_drops(holders);
  }

  // `holders` have something of a shard, or will: a manifest elsewhere leads to nothing.
  void plan_manifest_drops(Workers const& holders) {
    std::vector<std::size_t> keepers;
    for (auto const holder : held_.sound_manifest) {
      if (holders.contains(holder) && !workers_[holder].is_draining) keepers.push_back(holder);
    }
    if (keepers.size() < wanted_) return;
    auto all = held_.sound_manifest;
    all.insert(held_.damaged_manifest.begin(), held_.damaged_manifest.end());
    for (auto const holder : all) {
      if (holders.contains(holder)) continue;
      plan_.manifest_drops.push_back({.from = holder, .witnesses = keepers});
    }
  }

  // Without those that are to be emptied.
  Workers kept(Workers workers) const {
    std::erase_if(workers, [&](auto worker) { return workers_[worker].is_draining; });
    return workers;
  }

  std::uint64_t bytes_of(ShardIndex shard) const {
    auto const& entry = manifest_.shards[shard.value];
    return entry.end - entry.begin;
  }

  bool takes(ShardIndex shard, std::size_t worker) const {
    if (workers_[worker].state != WorkerState::there || workers_[worker].is_draining) return false;
    return held_.damaged[shard.value].contains(worker) ||
           workers_[worker].room_bytes >= bytes_of(shard);
  }

  // Workers of unequal size are filled by their space; among equals the first.
  std::optional<std::size_t> roomiest(ShardIndex shard, Workers const& without) const {
    std::optional<std::size_t> best;
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
      if (without.contains(worker) || !takes(shard, worker)) continue;
      bool const has_it = held_.damaged[shard.value].contains(worker);
      if (!has_it && room_left(worker) < bytes_of(shard)) continue;
      if (!best || room_left(worker) > room_left(*best)) best = worker;
    }
    return best;
  }

  std::uint64_t room_left(std::size_t worker) const {
    auto const& it = workers_[worker];
    return it.room_bytes - std::min(it.room_bytes, it.promised_bytes);
  }

  Manifest const& manifest_;
  Holdings held_;
  std::span<RepairWorker> workers_;
  std::size_t wanted_;
  std::vector<std::vector<std::size_t>> homes_;  // by shard
  RepairPlan plan_;
};

std::string_view words_of(RepairReason reason) {
  switch (reason) {
    case RepairReason::lost:
      return "lost";
    case RepairReason::damaged:
      return "damaged";
    case RepairReason::home:
      return "home";
    case RepairReason::leaving:
      return "leaving";
    case RepairReason::joined:
      return "joined";
  }
  return "lost";
}

}  // namespace

std::size_t copies_wanted(Manifest const& manifest, std::uint32_t redundancy) {
  return std::max(manifest.redundancy, redundancy);
}

RepairPlan plan_repair(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::span<RepairWorker> workers, std::uint32_t redundancy) {
  return Planner(manifest, inventories, workers, redundancy).plan();
}

std::string RepairPlan::text() const {
  std::string lines;
  auto const out = std::back_inserter(lines);
  for (auto const& copy : copies) {
    fmt::format_to(out, "shard {} to worker {} from {} ({})\n", copy.shard.value, copy.to,
                   fmt::join(copy.from, ", "), words_of(copy.reason));
  }
  for (auto const worker : manifests) {
    fmt::format_to(out, "manifest to worker {} from {}\n", worker,
                   fmt::join(manifest_holders, ", "));
  }
  for (auto const& drop : drops) {
    fmt::format_to(out, "shard {} off worker {}, kept by {}\n", drop.shard.value, drop.from,
                   fmt::join(drop.witnesses, ", "));
  }
  for (auto const& drop : manifest_drops) {
    fmt::format_to(out, "manifest off worker {}, kept by {}\n", drop.from,
                   fmt::join(drop.witnesses, ", "));
  }
  for (auto const shard : short_of)
    fmt::format_to(out, "shard {} is short of copies\n", shard.value);
  return lines;
}

}  // namespace grove
