// What /metrics says of the cluster: workers, space, copies and verdicts from a survey; the jobs.
// A survey is made when somebody scrapes, one at a time and not too often (limits.h), in a task of
// its own: a worker that does not answer takes seconds to be given up, and a scrape waits only a
// few. What a survey cannot learn keeps its last value, and its age grows.
// Not here: what jobs count as it happens (jobs, store_job, gather_job).
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "net/signal.h"
#include "net/task_group.h"

namespace grove {

class ClusterMetrics {
 public:
  // All of them must outlive this object.
  ClusterMetrics(std::filesystem::path config_path, Services& services, Jobs& jobs,
                 Overview& overview);

  // Brings the levels of `services.metrics` up to date, as far as limits::survey_wait allows.
  Awaitable<void> refresh();

  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  using Clock = std::chrono::steady_clock;

  void show_jobs();
  void show_ages();
  Awaitable<void> survey_and_show();
  void show_workers(Config const& config, ClusterView const& view);
  void show_checkpoints(std::vector<CheckpointReport> const& reports);
  void note_newest_safe(std::optional<Generation> newest);
  std::set<std::string> identities_being_stored() const;

  std::filesystem::path config_path_;
  Services& services_;
  Jobs& jobs_;
  Overview& overview_;
  TaskGroup tasks_;
  Signal surveyed_;
  bool is_surveying_ = false;
  std::optional<Clock::time_point> survey_begun_;  // the last one, whatever became of it
  std::optional<Clock::time_point> shown_as_of_;   // the last one that came to its end
  Clock::time_point const started_ = Clock::now();
  std::optional<Generation> newest_safe_;
  std::int64_t newest_safe_since_ms_ = 0;  // wall clock
};

}  // namespace grove
