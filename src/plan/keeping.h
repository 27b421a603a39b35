// Which generations and checkpoints may be forgotten, by the config's `generations` and
// `retention`. Pure; coordinator/keeping_round.h carries it out.
//
// Only what is safe counts as kept: while the newer ones are not, nothing that they were to replace
// goes. Of a run's newest steps those count whose files are all there and safe: none is being
// stored or was not stored to its end, and of a set ("-00001-of-00004") no part is lacking. A pin
// keeps all files of its step.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "format/key.h"
#include "format/manifest.h"
#include "plan/gather_plan.h"

namespace grove {

// A complete generation that was not forgotten.
struct StoredGeneration {
  CheckpointKey key;
  Generation generation;
  bool is_safe = false;    // every shard has its copies on workers that answer
  bool is_pinned = false;  // its checkpoint
};

enum class ForgetReason {
  superseded,  // there are enough newer generations of it: this one goes
  retention,   // its step is not among those to be kept: all of its generations go
  unfinished,  // its store did not end, long ago: the refs that it left go
};
std::string_view to_string(ForgetReason reason);

struct Forgetting {
  CheckpointKey key;
  Generation generation;  // of `retention` the newest
  ForgetReason reason = ForgetReason::superseded;
  friend bool operator==(Forgetting const&, Forgetting const&) = default;
};

// Those whose newest generation has no manifest anywhere: its store did not end.
std::set<CheckpointKey> unfinished_checkpoints(std::span<WorkerInventory const> inventories);

// Generations without a manifest anywhere that are older than `before`, each once. To be asked only
// where all workers answer: one that does not may have the manifest.
std::vector<Forgetting> plan_clearing(std::span<WorkerInventory const> inventories,
                                      Generation before);

// `stored`: all of a cluster, those of one checkpoint together, newest first. `unsettled`:
// checkpoints of which something newer is being stored, or was begun and did not end.
std::vector<Forgetting> plan_forgetting(std::span<StoredGeneration const> stored,
                                        std::set<CheckpointKey> const& unsettled,
                                        std::uint32_t generations, Retention const& retention);

}  // namespace grove
