#include "coordinator/verdict.h"

#include <algorithm>
#include <vector>

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

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories) {
  auto const key = CheckpointKey::parse(manifest.identity);
  CopyCount count;
  std::vector<std::size_t> per_shard(manifest.shards.size(), 0);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto const& ref = held.ref;
      if (!ref.name.shard || !held.is_sound || ref.key != key.value()) continue;
      if (ref.generation != manifest.generation) continue;
      auto const index = ref.name.shard->value;
      if (index >= per_shard.size() || ref.target != manifest.shards[index].list) continue;
      ++per_shard[index];
      ++count.live;
      count.holders.insert(inventory.worker_index);
    }
  }
  count.wanted = manifest.shards.size() * manifest.redundancy;
  count.fewest = per_shard.empty() ? 0 : *std::min_element(per_shard.begin(), per_shard.end());
  return count;
}

Verdict judge(CopyCount const& copies, Manifest const& manifest, bool all_answer) {
  if (copies.fewest == 0) return all_answer ? Verdict::lost : Verdict::out_of_reach;
  return copies.fewest < manifest.redundancy ? Verdict::at_risk : Verdict::safe;
}

}  // namespace grove
