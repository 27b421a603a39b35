// Makes copies again that were lost or damaged, sends those of stand-ins home and drops what is
// surplus then: by itself, and when asked. One loop: inventories → plan (plan/repair_plan.h) →
// pulls from worker to worker (transfer/replicate.h) → refs and manifests.
// Nothing is dropped that the worker cannot have proven by those that keep it (worker/deletion.h).
// Checkpoints that are being stored are left alone. While a store or a gather runs the pulls
// have a fifth of the time; `bandwidth_limit` bounds them always.
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/job.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "coordinator/repair_round.h"
#include "net/task_group.h"
#include "plan/repair_plan.h"

namespace grove {

class Repair {
 public:
  // All of them must outlive it.
  Repair(std::filesystem::path config_path, Services& services, Jobs& jobs, Overview& overview);

  void start();
  Awaitable<void> stop(std::chrono::milliseconds grace);

  // A round now, over everything; joins the one that runs. Its lines end with "Done: …" or
  // "ERROR: …".
  std::shared_ptr<Job> run_now(Config config);

  // What a round would do now, one step a line. Fails: unavailable (no worker answers).
  Awaitable<Result<std::string>> dry_run(Config config);

 private:
  Awaitable<void> repair_by_itself();
  Awaitable<std::string> look(Config const& config);
  Awaitable<Result<std::unique_ptr<RepairRound>>> make_round(Config config);
  Awaitable<void> run_as_asked(Config config, std::shared_ptr<Job> job);
  WorkerState state_of(Config const& config, Member const& member) const;
  std::vector<RepairWorker> workers_of(Config const& config, ClusterView const& view) const;
  std::shared_ptr<Job> begin_job();
  Awaitable<void> tell_progress(std::shared_ptr<Job> job);
  void tell_short(std::vector<std::string> const& identities);

  std::filesystem::path config_path_;
  Services& services_;
  Jobs& jobs_;
  Overview& overview_;
  std::shared_ptr<Job> job_;  // the newest round's, which may have ended
  std::string quiet_view_;    // of the cluster when a round found nothing to do
  Presences::Clock::time_point quiet_since_;
  std::vector<std::string> told_short_;  // checkpoints that are known to be short of copies
  TaskGroup tasks_;
};

}  // namespace grove
