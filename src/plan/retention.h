// Which checkpoints of a run the config's `retention` keeps. Pure; nothing is deleted here.
//
// A run is the key's parent folder ("run1" of "run1/step_100/model.safetensors"), or the key itself
// where the file's own name has the step ("run1" of "run1/ckpt_000100.safetensors"). The step is
// the last integer in that name; the numbers of parts ("-00001-of-00004") are none. All files of
// one step of a run are one checkpoint. What has no step is kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/config.h"
#include "format/key.h"

namespace grove {

struct RunStep {
  std::string run;
  std::uint64_t step = 0;
  friend bool operator==(RunStep const&, RunStep const&) = default;
};

// None: it has no step.
std::optional<RunStep> run_step_of(CheckpointKey const& key);

class RetentionPlan {
 public:
  explicit RetentionPlan(Retention retention) : retention_(retention) {}

  // A checkpoint that is complete.
  void add(CheckpointKey const& key);
  // A checkpoint that is pinned, which keeps all files of its step.
  void pin(CheckpointKey const& key);
  // Whether a checkpoint, taken for complete beside those that were added, would be dropped: it is
  // not among the newest `keep_last` steps of its run, no multiple of `keep_every` and not pinned.
  // The newest step of a run is always kept.
  bool drops(CheckpointKey const& key) const;

 private:
  Retention retention_;
  std::map<std::string, std::set<std::uint64_t>> steps_;   // by run
  std::map<std::string, std::set<std::uint64_t>> pinned_;  // likewise
};

}  // namespace grove
