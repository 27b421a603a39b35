#include "coordinator/verdict.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "plan/placement.h"

namespace grove {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::safe:
      return "safe";
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

// The shard that this is a sound copy of, if it is one of this generation.
std::optional<ShardIndex> copied_shard(Manifest const& manifest, CheckpointKey const& key,
                                       HeldRef const& held) {
  auto const& ref = held.ref;
  if (!ref.name.shard || !held.is_sound || ref.key != key) return std::nullopt;
  if (ref.generation != manifest.generation) return std::nullopt;
  auto const index = ref.name.shard->value;
  if (index >= manifest.shards.size() || ref.target != manifest.shards[index].list) {
    return std::nullopt;
  }
  return ref.name.shard;
}

}  // namespace

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories) {
  auto const key = CheckpointKey::parse(manifest.identity);
  CopyCount count;
  std::vector<std::size_t> per_shard(manifest.shards.size(), 0);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto const shard = copied_shard(manifest, key.value(), held);
      if (!shard) continue;
      ++per_shard[shard->value];
      ++count.live;
      count.holders.insert(inventory.worker_index);
    }
  }
  count.wanted = manifest.shards.size() * manifest.redundancy;
  count.fewest = per_shard.empty() ? 0 : *std::min_element(per_shard.begin(), per_shard.end());
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
      if (shard) copies.emplace(inventory.worker_index, *shard);
    }
  }
  std::set<std::size_t> lacking;
  for (auto const& copy : planned.value()) {
    bool const is_there = copies.contains({copy.worker_index, copy.shard});
    if (!is_there && answering.contains(copy.worker_index)) lacking.insert(copy.worker_index);
  }
  return lacking;
}

Verdict judge(CopyCount const& copies, Manifest const& manifest, bool all_answer) {
  if (copies.fewest == 0) return all_answer ? Verdict::lost : Verdict::out_of_reach;
  return copies.fewest < manifest.redundancy ? Verdict::at_risk : Verdict::safe;
}

}  // namespace grove
