// Makes copies again that were lost or damaged, sends those of stand-ins home, drops what is
// surplus then, empties workers that are to go, and forgets what `generations` and `retention` do
// not keep: by itself, and when asked. One loop: inventories → plan (plan/repair_plan.h,
// plan/keeping.h) → pulls from worker to worker (transfer/replicate.h) → refs and manifests.
// Nothing is dropped that the worker cannot have proven by those that keep it (worker/deletion.h).
// Checkpoints that are being stored are left alone. While a store or a gather runs the pulls
// have a fifth of the time; `bandwidth_limit` bounds them always.
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/limits.h"
#include "coordinator/job.h"
#include "coordinator/jobs.h"
#include "coordinator/keeping_round.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "coordinator/repair_round.h"
#include "net/task_group.h"

namespace grove {

class Repair {
 public:
  // All of them must outlive it.
  Repair(std::filesystem::path config_path, Services& services, Jobs& jobs, Overview& overview);

  void start();
  Awaitable<void> stop(std::chrono::milliseconds grace);

  // Rounds now, over everything, until nothing is left to do; joins those that run. The lines end
  // with "Done: …" or "ERROR: …".
  std::shared_ptr<Job> run_now(Config config);

  // What a round would do now, one step a line. Fails: unavailable (no worker answers).
  Awaitable<Result<std::string>> dry_run(Config config);

  // Tells the worker that it is to be emptied, and makes rounds until others have all that it
  // holds. "Done: …": it may be taken away. It must be a worker of the config.
  std::shared_ptr<Job> drain(Config config, Rank rank);

 private:
  // All that is to be done as of one look at the cluster.
  struct Round {
    Config config;
    ClusterView view;
    std::unique_ptr<RepairRound> copies;
    std::unique_ptr<KeepingRound> keeping;
    std::chrono::nanoseconds look_took{};
    // What it does not look at, so that it knows nothing of what is there: checkpoints that are
    // being stored, and generations whose manifests nobody gives just now.
    std::set<std::string> passed_over;

    bool is_empty() const { return copies->is_empty() && keeping->is_empty(); }
    std::size_t later_count() const { return copies->later_count() + keeping->later_count(); }
    RepairPace::TimePoint end() const;
  };

  Awaitable<void> repair_by_itself();
  Awaitable<std::string> look(Config const& config);
  Awaitable<Result<std::unique_ptr<Round>>> make_round(Config config);
  Awaitable<void> carry_out(Round& round, std::shared_ptr<Job> job);
  Awaitable<std::unique_ptr<Round>> heal(std::unique_ptr<Round> round, std::shared_ptr<Job> job);
  Awaitable<void> run_as_asked(Config config, std::shared_ptr<Job> job);
  Awaitable<void> run_drain(Config config, Rank rank, std::shared_ptr<Job> before,
                            std::shared_ptr<Job> job);
  Awaitable<Result<std::string>> empty(Config config, Rank rank, std::shared_ptr<Job> job);
  Awaitable<void> wait_for_stores(std::shared_ptr<Job> job);
  std::shared_ptr<Job> begin_job(std::string what);
  Awaitable<void> tell_progress(std::shared_ptr<Job> job);
  void tell_short(std::set<std::string> const& identities);

  std::filesystem::path config_path_;
  Services& services_;
  Jobs& jobs_;
  Overview& overview_;
  std::shared_ptr<Job> job_;  // the newest round's, which may have ended
  // Of the cluster when a round found nothing to do, or could not do all of it; and until when that
  // is believed.
  std::string settled_view_;
  Presences::Clock::time_point settled_until_;
  std::chrono::milliseconds again_after_ = limits::repair_period;  // longer with each that failed
  // Copies that could not be joined, and of which view of the cluster that is true.
  std::set<std::string> joined_in_vain_;
  std::string joins_view_;
  std::set<std::string> told_short_;  // checkpoints that are known to be short of copies
  TaskGroup tasks_;
};

}  // namespace grove
