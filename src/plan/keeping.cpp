#include "plan/keeping.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "plan/name_numbers.h"
#include "plan/retention.h"

namespace grove {
namespace {

using Steps = std::set<std::pair<std::string, std::uint64_t>>;

bool contains(Steps const& steps, CheckpointKey const& key) {
  auto const place = run_step_of(key);
  return place && steps.contains({place->run, place->step});
}

void insert(Steps& steps, CheckpointKey const& key) {
  if (auto const place = run_step_of(key)) steps.emplace(place->run, place->step);
}

// Calls `visit` with the generations of each checkpoint.
template <typename Visit>
void for_each_checkpoint(std::span<StoredGeneration const> stored, Visit visit) {
  while (!stored.empty()) {
    auto const other = std::ranges::find_if(
        stored, [&](StoredGeneration const& it) { return it.key != stored.front().key; });
    auto const count = static_cast<std::size_t>(other - stored.begin());
    visit(stored.first(count));
    stored = stored.subspan(count);
  }
}

// By the names of the parts that there are.
Steps steps_with_lacking_parts(std::span<StoredGeneration const> stored) {
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> parts_found;
  auto const set_of = [](CheckpointKey const& key) {
    auto const name = std::string(key.folder()) + '/' + std::string(stem_of(key));
    return std::pair(name + std::string(key.extension()), parts_count_of(key));
  };
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    ++parts_found[set_of(checkpoint.front().key)];
  });
  Steps lacking;
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    auto const set = set_of(checkpoint.front().key);
    if (parts_found[set] < set.second) insert(lacking, checkpoint.front().key);
  });
  return lacking;
}

}  // namespace

std::string_view to_string(ForgetReason reason) {
  switch (reason) {
    case ForgetReason::superseded:
      return "superseded";
    case ForgetReason::retention:
      return "retention";
    case ForgetReason::unfinished:
      return "unfinished";
  }
  return "unfinished";
}

std::set<CheckpointKey> unfinished_checkpoints(std::span<WorkerInventory const> inventories) {
  std::map<CheckpointKey, Generation> newest;
  std::map<CheckpointKey, Generation> newest_complete;
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto& generation = newest[held.ref.key];
      generation = std::max(generation, held.ref.generation);
      if (held.ref.name.shard) continue;
      auto& complete = newest_complete[held.ref.key];
      complete = std::max(complete, held.ref.generation);
    }
  }
  std::set<CheckpointKey> unfinished;
  for (auto const& [key, generation] : newest) {
    auto const complete = newest_complete.find(key);
    bool const has_ended = complete != newest_complete.end() && complete->second == generation;
    if (!has_ended) unfinished.insert(key);
  }
  return unfinished;
}

std::vector<Forgetting> plan_clearing(std::span<WorkerInventory const> inventories,
                                      Generation before) {
  std::map<std::pair<CheckpointKey, Generation>, bool> has_manifest;
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto& known = has_manifest[{held.ref.key, held.ref.generation}];
      known = known || !held.ref.name.shard;
    }
  }
  std::vector<Forgetting> all;
  for (auto const& [what, is_complete] : has_manifest) {
    if (is_complete || what.second >= before) continue;
    all.push_back({what.first, what.second, ForgetReason::unfinished});
  }
  return all;
}

std::vector<Forgetting> plan_forgetting(std::span<StoredGeneration const> stored,
                                        std::set<CheckpointKey> const& unsettled,
                                        std::uint32_t generations, Retention const& retention) {
  auto unsafe = steps_with_lacking_parts(stored);
  for (auto const& key : unsettled) insert(unsafe, key);
  RetentionPlan plan(retention);
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    if (!checkpoint.front().is_safe) insert(unsafe, checkpoint.front().key);
    if (checkpoint.front().is_pinned) plan.pin(checkpoint.front().key);
  });
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    if (!contains(unsafe, checkpoint.front().key)) plan.add(checkpoint.front().key);
  });
  std::vector<Forgetting> all;
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    auto const& newest = checkpoint.front();
    if (plan.drops(newest.key)) {
      all.push_back({newest.key, newest.generation, ForgetReason::retention});
      return;
    }
    std::uint32_t safe_count = 0;
    for (auto const& it : checkpoint) {
      if (safe_count >= std::max<std::uint32_t>(1, generations)) {
        all.push_back({it.key, it.generation, ForgetReason::superseded});
      } else if (it.is_safe) {
        ++safe_count;
      }
    }
  });
  return all;
}

}  // namespace grove
