// What is on the workers → which generation can be gathered, and from whom. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "format/manifest.h"
#include "format/ref.h"

namespace grove {

// One line of a worker's inventory (GET /refs).
struct HeldRef {
  Ref ref;
  bool is_sound = true;  // every chunk it names is there, as far as the worker knows
  std::uint64_t missing_count = 0;
  std::optional<std::int64_t> verified_ms{};  // wall clock: when all of it was last re-read
};

struct WorkerInventory {
  std::size_t worker_index = 0;  // into the config's workers
  std::vector<HeldRef> refs;
};

// All that is known of one generation of one identity. A generation is complete when a manifest
// is among them; otherwise it is unfinished.
struct GenerationView {
  Generation generation;
  // Distinct targets; more than one is a conflict. Of those that nobody has sound only where there
  // is no other: a bit of a ref may flip.
  std::vector<Digest> manifests;
  std::vector<std::size_t> manifest_holders;  // worker indexes
  std::vector<Ref> shard_refs;                // parallel to shard_holders
  std::vector<std::size_t> shard_holders;
};

// Whether this is a copy of one of the manifest's shards, sound or not.
bool is_copy(Manifest const& manifest, Ref const& ref);

// Newest first.
std::vector<GenerationView> generations_of(CheckpointKey const& key,
                                           std::span<WorkerInventory const> inventories);

struct ShardSources {
  ShardIndex shard;
  // Worker indexes, in the order to try: the ring's, from round 0.
  std::vector<std::size_t> holders;
};

struct GatherPlan {
  Generation generation;
  std::vector<ShardSources> shards;
  std::vector<ShardIndex> missing;  // shards with no reachable holder

  std::string text() const;
};

// Who serves which shard of `manifest`. Holders are the workers with a ref to exactly the
// manifest's list; those with damage come last. Workers off the ring (stand-ins) come after it.
GatherPlan plan_gather(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::size_t workers_count);

}  // namespace grove
