// The part of a round of repair that forgets: what retention and newer generations have replaced,
// and, on workers that were away, what was forgotten on purpose without them. Pins are handed on
// with it. Not here: what may be forgotten (plan/keeping.h), when a round is made
// (coordinator/repair.h). Threads: the coordinator's executor; the constructor and text() any one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "coordinator/forget.h"
#include "coordinator/job.h"
#include "coordinator/jobs.h"
#include "coordinator/marks.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "plan/keeping.h"

namespace grove {

class KeepingRound {
 public:
  // `services`, `jobs`, the config and the view must outlive it. `complete`: all of the cluster,
  // those of one checkpoint together, newest first. `storing`: what is being stored.
  KeepingRound(Services& services, Jobs& jobs, Config const& config, ClusterView const& view,
               std::span<CompleteGeneration const> complete, std::span<std::string const> storing);

  bool is_empty() const { return forgettings_.empty() && tombstones_.empty() && pins_.empty(); }
  // Whether that generation goes, alone or with its checkpoint.
  bool forgets(CheckpointKey const& key, Generation generation) const;
  // One step a line, of a round that is not carried out.
  std::string text() const;

  // What becomes of it are lines of the job, which goes on.
  Awaitable<void> carry_out(std::shared_ptr<Job> job);
  std::size_t forgotten_count() const { return forgotten_count_; }
  std::size_t failed_count() const { return failed_count_; }
  // Steps that workers did not allow yet.
  std::size_t later_count() const { return later_count_; }

 private:
  struct Planned {
    Forgetting what;
    std::shared_ptr<Manifest const> manifest;
    std::shared_ptr<std::vector<WorkerInventory> const> inventories;  // of its checkpoint
    Superseded by;  // of `superseded`: holders of the newest safe generation
  };

  void plan_to_clear(std::span<std::string const> storing);
  std::string line(Planned const& planned) const;
  Awaitable<void> forget(Planned const& planned);
  Awaitable<Result<void>> check_retention(CheckpointKey const& key);
  Awaitable<Result<void>> forget_checkpoint(Planned const& planned);
  Awaitable<Result<void>> forget_generation(Planned const& planned);
  template <typename Mark>
  Awaitable<void> hand_on(UntoldMark<Mark> untold);
  void note_failure(std::string const& what, Error const& error);

  Services& services_;
  Jobs& jobs_;
  Config const& config_;
  ClusterView const& view_;
  std::vector<Planned> forgettings_;
  std::map<CheckpointKey, Generation> going_;  // those up to which they go
  struct StepThatGoes {
    std::vector<CheckpointKey> files;
    std::optional<Result<void>> may_go;  // as found out when its turn came
  };
  std::map<std::pair<std::string, std::uint64_t>, StepThatGoes> steps_;
  std::vector<UntoldMark<Tombstone>> tombstones_;
  std::vector<UntoldMark<Pin>> pins_;

  std::shared_ptr<Job> job_;
  std::size_t forgotten_count_ = 0;
  std::size_t failed_count_ = 0;
  std::size_t later_count_ = 0;
};

}  // namespace grove
