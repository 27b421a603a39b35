// Which earlier checkpoint of the same run a new one may be a change of. Pure.
//
// A run is the parent folder of the key, or the key itself where it holds step-numbered files
// (docs/operations.md#deltas): run1/step_90/model.safetensors and run1/final/model.safetensors are
// earlier ones of run1/step_100/model.safetensors, and so is run1/model-step90.safetensors of
// run1/model-step100.safetensors: file names are compared without their numbers, but for those of
// parts ("-00001-of-00004"). The identity itself is none: its earlier bytes are gone when it is
// written again. Threads: pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/key.h"
#include "plan/gather_plan.h"

namespace grove {

// What the identities of all that is_of_same_run() accepts begin with, for asking the workers;
// none where a checkpoint's name puts it into no run.
std::optional<std::string> run_prefix_of(CheckpointKey const& key);

bool is_of_same_run(CheckpointKey const& key, CheckpointKey const& other);

struct EarlierCheckpoint {
  CheckpointKey key;
  GenerationView generation;  // its newest complete one; no shard refs where none were given
};

// Those of the run with a complete generation, the best first: with the very file name before
// others (of a checkpoint in numbered parts that is the same part), the one that was stored last
// before older ones. At most `count_max`.
std::vector<EarlierCheckpoint> choose_earlier(CheckpointKey const& key,
                                              std::span<WorkerInventory const> inventories,
                                              std::size_t count_max);

}  // namespace grove
