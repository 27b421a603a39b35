#include "plan/gather_plan.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace grove {

namespace {

// One worker that can serve a shard, in the order to try: sound copies first, then along the ring.
struct Holder {
  bool is_damaged = false;
  std::size_t steps = 0;  // along the ring from the shard's primary
  std::size_t worker_index = 0;

  friend auto operator<=>(Holder const&, Holder const&) = default;
};

std::size_t steps_from_primary(std::size_t shard, std::size_t worker_index,
                               std::size_t workers_count) {
  return worker_index < workers_count
             ? (worker_index + workers_count - shard % workers_count) % workers_count
             : worker_index;  // off the ring: behind every worker that is on it
}

struct HeldManifest {
  std::size_t holder = 0;
  Digest target;
  bool is_sound = false;
};

void add_manifests(GenerationView& view, std::vector<HeldManifest> const& held) {
  auto const add = [&](HeldManifest const& manifest) {
    if (std::ranges::find(view.manifests, manifest.target) == view.manifests.end()) {
      view.manifests.push_back(manifest.target);
    }
  };
  for (auto const& manifest : held) {
    if (manifest.is_sound) add(manifest);
  }
  if (view.manifests.empty()) std::ranges::for_each(held, add);
  for (auto const& manifest : held) {
    bool const is_known =
        std::ranges::find(view.manifests, manifest.target) != view.manifests.end();
    if (is_known) view.manifest_holders.push_back(manifest.holder);
  }
}

}  // namespace

bool is_copy(Manifest const& manifest, Ref const& ref) {
  return ref.name.shard && ref.generation == manifest.generation &&
         ref.key.identity() == manifest.identity &&
         ref.name.shard->value < manifest.shards.size() &&
         ref.target == manifest.shards[ref.name.shard->value].list;
}

std::vector<GenerationView> generations_of(CheckpointKey const& key,
                                           std::span<WorkerInventory const> inventories) {
  std::map<Generation, GenerationView, std::greater<>> views;
  std::map<Generation, std::vector<HeldManifest>> manifests;
  for (WorkerInventory const& inventory : inventories) {
    for (HeldRef const& held : inventory.refs) {
      Ref const& ref = held.ref;
      if (ref.key != key) {
        continue;
      }
      GenerationView& view = views[ref.generation];
      view.generation = ref.generation;
      if (ref.name.shard) {
        view.shard_refs.push_back(ref);
        view.shard_holders.push_back(inventory.worker_index);
        continue;
      }
      manifests[ref.generation].push_back(
          {.holder = inventory.worker_index, .target = ref.target, .is_sound = held.is_sound});
    }
  }
  std::vector<GenerationView> newest_first;
  newest_first.reserve(views.size());
  for (auto& [generation, view] : views) {
    add_manifests(view, manifests[generation]);
    newest_first.push_back(std::move(view));
  }
  return newest_first;
}

GatherPlan plan_gather(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::size_t workers_count) {
  GROVE_ASSERT(workers_count >= 1);
  std::vector<std::vector<Holder>> holders(manifest.shards.size());
  for (WorkerInventory const& inventory : inventories) {
    for (HeldRef const& held : inventory.refs) {
      if (is_copy(manifest, held.ref)) {
        std::size_t const shard = held.ref.name.shard->value;
        holders[shard].push_back(
            {.is_damaged = !held.is_sound,
             .steps = steps_from_primary(shard, inventory.worker_index, workers_count),
             .worker_index = inventory.worker_index});
      }
    }
  }
  GatherPlan plan{.generation = manifest.generation, .shards = {}, .missing = {}};
  plan.shards.reserve(holders.size());
  for (std::uint32_t shard = 0; shard < holders.size(); ++shard) {
    std::ranges::sort(holders[shard]);
    ShardSources sources{.shard = ShardIndex{shard}, .holders = {}};
    for (Holder const& holder : holders[shard]) {
      sources.holders.push_back(holder.worker_index);
    }
    if (sources.holders.empty()) {
      plan.missing.push_back(sources.shard);
    }
    plan.shards.push_back(std::move(sources));
  }
  return plan;
}

std::string GatherPlan::text() const {
  std::string lines = fmt::format("generation {}, {} shards, {} missing\n", generation.value,
                                  shards.size(), missing.size());
  for (ShardSources const& sources : shards) {
    if (sources.holders.empty()) {
      fmt::format_to(std::back_inserter(lines), "shard {}: missing\n", sources.shard.value);
    } else {
      fmt::format_to(std::back_inserter(lines), "shard {}: workers {}\n", sources.shard.value,
                     fmt::join(sources.holders, ", "));
    }
  }
  return lines;
}

}  // namespace grove
