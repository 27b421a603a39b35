// The repair of a made-up cluster: what is missing is copied, what is surplus dropped, what is
// replaced forgotten.
#include <algorithm>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "invariants.h"
#include "parts.h"
#include "plan/placement.h"
#include "protocol.h"

namespace grove::simulation {

// Of every checkpoint those that are complete, not forgotten, and whose manifest can be had; newest
// first.
std::vector<Manifest> Coordinator::complete_manifests(View const& view) {
  std::set<CheckpointKey> keys;
  for (auto const& inventory : view.inventories) {
    for (auto const& held : inventory.refs) keys.insert(held.ref.key);
  }
  std::vector<Manifest> complete;
  for (auto const& key : keys) {
    auto const forgotten = view.forgotten.find(key);
    for (auto const& generation : generations_of(key, view.inventories)) {
      if (forgotten != view.forgotten.end() && generation.generation <= forgotten->second) break;
      if (generation.manifests.empty()) continue;
      if (auto manifest = fetch(view, generation)) complete.push_back(std::move(*manifest));
    }
  }
  return complete;
}

std::size_t Coordinator::repair(std::uint32_t generations, Retention const& retention) {
  auto const view = survey();
  auto const complete = complete_manifests(view);
  auto workers = repair_workers(view);
  std::size_t steps = 0;
  plans_.clear();
  // Tombstones that a worker has not been told of.
  for (auto const& [key, up_to] : view.forgotten) {
    for (std::size_t index = 0; index < view.workers.size(); ++index) {
      if (!view.answers[index]) continue;
      auto const& known = at(view, index).disk.tombstones;
      auto const own = known.find(key);
      if (own != known.end() && own->second.up_to >= up_to) continue;
      ++steps;
      std::ignore = at(view, index).put_tombstone({.key = key, .up_to = up_to});
      step_();
    }
  }
  auto const going = keep(view, complete, generations, retention);
  for (auto const& manifest : complete) {
    auto const up_to = going.find(key_of(manifest.identity));
    if (up_to != going.end() && manifest.generation <= up_to->second) continue;
    auto const plan = plan_repair(manifest, view.inventories, workers, world_.redundancy);
    check_plan(view, workers, manifest, plan);
    if (!plan.is_empty()) {
      plans_ += fmt::format("{} generation {}:\n{}", manifest.identity, manifest.generation.value,
                            plan.text());
    }
    // Damaged copies that are joined are damaged all over here: they never are whole again.
    auto const joins = std::ranges::count(plan.copies, RepairReason::joined, &CopyToMake::reason);
    steps += plan.copies.size() - static_cast<std::size_t>(joins) + plan.manifests.size() +
             plan.drops.size() + plan.manifest_drops.size();
    bool has_failed = false;
    for (auto const& copy : plan.copies) {
      bool const is_made = make_copy(view, manifest, copy);
      has_failed |= !is_made && copy.reason != RepairReason::joined;
    }
    for (auto const to : plan.manifests) {
      has_failed |= at(view, to).put_ref(manifest_ref(manifest), &manifest) != Answer::ok;
      step_();
    }
    if (has_failed) continue;
    for (auto const& surplus : plan.drops) {
      std::ignore =
          drop(view, shard_ref(manifest, surplus.shard.value), surplus.from, surplus.witnesses, {});
    }
    for (auto const& surplus : plan.manifest_drops) {
      std::ignore = drop(view, manifest_ref(manifest), surplus.from, surplus.witnesses, {});
    }
  }
  return steps;
}

bool Coordinator::make_copy(View const& view, Manifest const& manifest, CopyToMake const& copy) {
  auto const ref = shard_ref(manifest, copy.shard.value);
  bool const is_had = std::ranges::any_of(copy.from, [&](std::size_t source) {
    return at(view, source).read_chunks(ref.target) == Answer::ok;
  });
  step_();
  return is_had && put_copy(view, copy.to, ref, bytes_of(manifest, copy.shard.value));
}

namespace {

// What a worker said that it has of a generation.
std::vector<Ref> held_of(std::span<WorkerInventory const> inventories, std::size_t worker,
                         CheckpointKey const& key, Generation generation) {
  std::vector<Ref> refs;
  for (auto const& inventory : inventories) {
    if (inventory.worker_index != worker) continue;
    for (auto const& held : inventory.refs) {
      bool const is_of_it = held.ref.key == key && held.ref.generation == generation;
      if (is_of_it) refs.push_back(held.ref);
    }
  }
  return refs;
}

}  // namespace

// The worker that drops asks the witnesses itself; each reads before it answers. It must have this
// very ref, or, where `newer` has replaced it, all that it was said to have of that.
bool Coordinator::drop(View const& view, Ref const& ref, std::size_t from,
                       std::vector<std::size_t> const& witnesses, std::optional<Generation> newer) {
  bool has_witness = false;
  for (auto const index : witnesses) {
    if (index == from && !newer) continue;
    auto& witness = at(view, index);
    // The worker reads the config itself, and knows nobody who has left it.
    bool const is_colleague =
        std::ranges::find(world_.config, view.workers[index]) != world_.config.end();
    if (!witness.answers() || !is_colleague) return false;
    witness.reread(ref.key);
    step_();
    if (!witness.answers()) return false;
    auto const wanted =
        newer ? held_of(view.inventories, index, ref.key, *newer) : std::vector{ref};
    auto const inventory = witness.inventory(index, wanted);
    bool const has_all = std::ranges::all_of(wanted, [&](Ref const& it) {
      return std::ranges::any_of(
          inventory.refs, [&](HeldRef const& held) { return held.ref == it && held.is_sound; });
    });
    if (wanted.empty() || !has_all) return false;
    has_witness = true;
  }
  if (!has_witness) return false;
  auto const forgotten = at(view, from).forget(ref);
  step_();
  return forgotten == Answer::ok;
}

std::map<CheckpointKey, Generation> Coordinator::keep(View const& view,
                                                      std::vector<Manifest> const& complete,
                                                      std::uint32_t generations,
                                                      Retention const& retention) {
  std::vector<StoredGeneration> stored;
  std::vector<std::set<std::size_t>> holders;  // of each one's manifest
  for (auto const& manifest : complete) {
    std::vector<std::set<std::size_t>> sound(manifest.shards.size());
    auto& with_manifest = holders.emplace_back();
    for (auto const& inventory : view.inventories) {
      for (auto const& held : inventory.refs) {
        if (held.ref.key.identity() != manifest.identity || !held.is_sound ||
            held.ref.generation != manifest.generation) {
          continue;
        }
        if (!held.ref.name.shard) {
          with_manifest.insert(inventory.worker_index);
        } else if (held.ref.target == manifest.shards[held.ref.name.shard->value].list) {
          sound[held.ref.name.shard->value].insert(inventory.worker_index);
        }
      }
    }
    bool const is_safe = std::ranges::all_of(sound, [&](auto const& workers) {
      return workers.size() >= std::max(manifest.redundancy, world_.redundancy);
    });
    stored.push_back({.key = key_of(manifest.identity),
                      .generation = manifest.generation,
                      .is_safe = is_safe,
                      .is_pinned = false});
  }
  std::map<CheckpointKey, Generation> going;
  auto const unfinished = unfinished_checkpoints(view.inventories);
  for (auto const& what : plan_forgetting(stored, unfinished, generations, retention)) {
    going.emplace(what.key, what.generation);
    if (what.reason == ForgetReason::retention) {
      checks_.note_retention(what, stored);
      ledger_.may_go(what.key, what.generation);
      for (std::size_t index = 0; index < view.workers.size(); ++index) {
        std::ignore = at(view, index).put_tombstone({.key = what.key, .up_to = what.generation});
        step_();
      }
      continue;
    }
    std::vector<std::size_t> witnesses;
    std::optional<Generation> newer;
    std::size_t goes = complete.size();
    for (std::size_t index = 0; index < stored.size(); ++index) {
      if (stored[index].key != what.key) continue;
      if (stored[index].generation == what.generation) goes = index;
      bool const is_newer = stored[index].generation > what.generation && stored[index].is_safe;
      if (witnesses.empty() && is_newer) {
        witnesses.assign(holders[index].begin(), holders[index].end());
        newer = stored[index].generation;
      }
    }
    checks_.note_superseded(what, stored);
    ledger_.done[what.key].erase(what.generation);
    bool is_gone = true;
    for (auto const& inventory : view.inventories) {
      for (auto const& held : inventory.refs) {
        bool const is_of_it = held.ref.key == what.key && held.ref.generation == what.generation;
        if (!is_of_it || !held.ref.name.shard || !is_gone) continue;
        is_gone = drop(view, held.ref, inventory.worker_index, witnesses, newer);
      }
    }
    if (!is_gone) continue;
    for (auto const holder : holders[goes]) {
      std::ignore = drop(view, manifest_ref(complete[goes]), holder, witnesses, newer);
    }
  }
  return going;
}

// After the plan each shard is on as many workers as wanted, or will be when those are back that
// are away for a short while, or the plan says that it is not.
void Coordinator::check_enough(View const& view, std::vector<RepairWorker> const& workers,
                               Manifest const& manifest, RepairPlan const& plan) {
  auto const wanted = std::max(manifest.redundancy, world_.redundancy);
  auto const shards = static_cast<std::uint32_t>(manifest.shards.size());
  auto const ring = place_copies(shards, workers.size(), wanted);
  if (ring.has_error()) return;
  std::vector<std::set<std::size_t>> will_have(shards);
  for (auto const& home : ring.value()) {
    if (workers[home.worker_index].state != WorkerState::away) continue;
    will_have[home.shard.value].insert(home.worker_index);
  }
  for (auto const& inventory : view.inventories) {
    if (workers[inventory.worker_index].is_draining) continue;
    for (auto const& held : inventory.refs) {
      if (!held.is_sound || !is_copy(manifest, held.ref)) continue;
      will_have[held.ref.name.shard->value].insert(inventory.worker_index);
    }
  }
  for (auto const& copy : plan.copies) will_have[copy.shard.value].insert(copy.to);
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    bool const is_told = std::ranges::find(plan.short_of, ShardIndex{shard}) != plan.short_of.end();
    checks_.that(Invariant::plan_is_sane, is_told || will_have[shard].size() >= wanted,
                 "a shard stays short of copies, and the plan does not say so");
  }
}

void Coordinator::check_plan(View const& view, std::vector<RepairWorker> const& workers,
                             Manifest const& manifest, RepairPlan const& plan) {
  auto const has = [&](std::size_t worker, ShardIndex shard, bool is_sound) {
    return std::ranges::any_of(view.inventories, [&](WorkerInventory const& inventory) {
      return inventory.worker_index == worker &&
             std::ranges::any_of(inventory.refs, [&](HeldRef const& held) {
               return held.is_sound == is_sound && held.ref == shard_ref(manifest, shard.value);
             });
    });
  };
  auto const holds = [&](std::size_t worker, ShardIndex shard) { return has(worker, shard, true); };
  for (auto const& copy : plan.copies) {
    checks_.that(Invariant::plan_is_sane, view.answers[copy.to] && !holds(copy.to, copy.shard),
                 "a copy to a worker that is away, or has it");
    checks_.that(Invariant::plan_is_sane, !workers[copy.to].is_draining,
                 "a copy to a worker that is to be emptied");
    bool const is_join = std::ranges::none_of(view.inventories, [&](WorkerInventory const& it) {
      return holds(it.worker_index, copy.shard);
    });
    checks_.that(Invariant::plan_is_sane,
                 !copy.from.empty() && std::ranges::all_of(copy.from,
                                                           [&](std::size_t source) {
                                                             return source != copy.to &&
                                                                    has(source, copy.shard,
                                                                        !is_join);
                                                           }),
                 "a copy from a worker that does not have it");
  }
  for (auto const& copy : plan.copies) {
    bool const is_there =
        copy.reason == RepairReason::damaged || copy.reason == RepairReason::joined;
    checks_.that(Invariant::plan_is_sane,
                 is_there || workers[copy.to].room_bytes >= bytes_of(manifest, copy.shard.value),
                 "a copy to a worker without room");
  }
  check_enough(view, workers, manifest, plan);
  for (auto const& surplus : plan.drops) {
    std::set<std::size_t> const witnesses(surplus.witnesses.begin(), surplus.witnesses.end());
    bool const are_enough = witnesses.size() >= std::max(manifest.redundancy, world_.redundancy);
    bool const are_others = !witnesses.contains(surplus.from);
    bool const have_it = std::ranges::all_of(
        witnesses, [&](std::size_t witness) { return holds(witness, surplus.shard); });
    checks_.that(Invariant::drops_are_proven, are_enough && are_others && have_it,
                 "a drop without as many sound copies elsewhere as wanted");
  }
}

}  // namespace grove::simulation
