// Which generations and checkpoints may be forgotten, by the config's `generations` and
// `retention`. Pure; coordinator/repair_round.h carries it out.
//
// Only what is safe counts as kept: while the newer ones are not, nothing that they were to replace
// goes. Of a run's newest steps those count whose files are all safe. A pin keeps all files of its
// step.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "format/key.h"
#include "format/manifest.h"

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
};
std::string_view to_string(ForgetReason reason);

struct Forgetting {
  CheckpointKey key;
  Generation generation;  // of `retention` the newest
  ForgetReason reason = ForgetReason::superseded;
  friend bool operator==(Forgetting const&, Forgetting const&) = default;
};

// `stored`: all of a cluster, those of one checkpoint together, newest first.
std::vector<Forgetting> plan_forgetting(std::span<StoredGeneration const> stored,
                                        std::uint32_t generations, Retention const& retention);

}  // namespace grove
