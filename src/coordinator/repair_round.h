// One round of repair: which copies are to be made and dropped as of one look at the cluster, and
// doing it. The ends of its steps are lines of its job. Not here: when a round is made
// (coordinator/repair.h), which copies go where (plan/repair_plan.h), how their chunks move
// (transfer/replicate.h). Threads: the coordinator's executor; add_plan() and text() any one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "coordinator/job.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "plan/repair_pace.h"
#include "plan/repair_plan.h"

namespace grove {

class RepairRound {
 public:
  // All of them must outlive it. `view`: what the plans are made from.
  RepairRound(Services& services, Jobs& jobs, Config const& config, ClusterView const& view);

  // What it gives away is promised of the workers' room. `in_vain`: copies that could not be joined
  // (RepairReason::joined) while the cluster looked as it does now.
  void add_plan(CompleteGeneration what, std::span<RepairWorker> workers,
                std::set<std::string> const& in_vain);

  bool is_empty() const { return plans_.empty(); }
  // Whether a copy that is to be made, or cannot be, has this worker among those that have it.
  bool needs(std::size_t worker) const;
  // Checkpoints with fewer copies than wanted that no step can mend now.
  std::set<std::string> const& short_of() const { return short_of_; }
  static std::string short_line(std::string_view identity);
  // One step a line, of a round that is not carried out.
  std::string text() const;

  // What becomes of it are lines of the job, which goes on. What is not carried out by `until` is
  // left to the next round.
  Awaitable<void> carry_out(std::shared_ptr<Job> job, RepairPace::TimePoint until);
  std::size_t made_count() const { return made_count_; }
  std::size_t dropped_count() const { return dropped_count_; }
  std::size_t failed_count() const { return failed_count_; }
  // Steps that were not possible yet, such as copies of what is being stored.
  std::size_t later_count() const { return later_count_; }
  std::set<std::string> const& joined_in_vain() const { return joined_in_vain_; }
  // Whether its time was over before it was done.
  bool is_cut_short() const { return is_cut_short_; }

 private:
  struct Planned {
    CompleteGeneration what;
    RepairPlan plan;
    std::size_t copies_left = 0;  // that have not ended; then come the manifests
    bool has_failed = false;
  };

  Awaitable<void> make_copies();
  Awaitable<void> make_copy(Planned& planned, CopyToMake const& copy);
  Awaitable<void> finish(Planned& planned);
  Awaitable<Result<void>> put_manifest(Planned const& planned, std::size_t to);
  Awaitable<void> drop(Ref ref, std::size_t from, std::vector<std::size_t> witnesses);
  Awaitable<Result<void>> bring(std::size_t to, std::span<std::size_t const> from, Digest list);
  Awaitable<Result<ShardList>> list_of(Digest digest, std::span<std::size_t const> holders);
  Awaitable<Result<void>> put_ref(std::size_t to, std::span<std::size_t const> from, Ref ref);
  Awaitable<bool> wait_for_turn();
  void note_moved(std::uint64_t bytes, std::chrono::nanoseconds took);
  bool is_time_over();
  bool is_down(std::size_t worker) const;
  void note_failure(std::string const& what, Error const& error);

  DeviceConfig const& device(std::size_t worker) const { return config_.workers[worker]; }
  WorkerAddress address(std::size_t worker) const;
  std::vector<WorkerAddress> addresses(std::span<std::size_t const> workers) const;
  WorkerClient client(std::size_t worker) const;
  std::string name(std::size_t worker) const;
  std::string names(std::span<std::size_t const> workers) const;
  std::string line(Planned const& planned, CopyToMake const& copy, std::string_view verb) const;
  std::string drop_line(Ref const& ref, std::size_t from, std::span<std::size_t const> witnesses,
                        std::string_view verb) const;
  Ref ref_of(Planned const& planned, RefName name, Digest target) const;

  Services& services_;
  Jobs& jobs_;
  Config const& config_;
  ClusterView const& view_;
  std::vector<std::unique_ptr<Planned>> plans_;
  std::set<std::string> short_of_;
  RepairPace pace_;

  std::shared_ptr<Job> job_;
  std::size_t made_count_ = 0;
  std::size_t dropped_count_ = 0;
  std::size_t failed_count_ = 0;
  std::size_t later_count_ = 0;
  bool is_cut_short_ = false;
  std::set<std::string> joined_in_vain_;
  std::set<std::size_t> full_;    // workers that had no room after all
  std::set<std::size_t> filled_;  // that got a copy
};

}  // namespace grove
