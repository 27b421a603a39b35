// Which jobs there are. A job belongs to its checkpoint: a second request for the same bytes joins
// the running job, one for other bytes waits behind it; jobs of different checkpoints run side by
// side. Finished jobs are remembered for a while, in memory only.
// Threads: the coordinator's executor.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/file.h"
#include "coordinator/checkpoint_request.h"
#include "coordinator/gather_job.h"
#include "coordinator/job.h"
#include "coordinator/members.h"
#include "coordinator/store_job.h"
#include "net/task_group.h"

namespace grove {

class Jobs {
 public:
  // `services` must outlive the jobs.
  explicit Jobs(Services& services);

  // `stamp`: the file as it is now; none when it could not be looked at (the job will say why).
  // Joins the newest store of the identity while that is not finished and has the same stamp and
  // options.
  std::shared_ptr<Job> store(Config config, CheckpointRequest request,
                             std::optional<FileStamp> stamp, StoreOptions options);

  // Joins the newest gather to the same place with the same options, unless a store of the
  // identity has been committed since that gather began: its result may be old news.
  std::shared_ptr<Job> gather(Config config, CheckpointRequest request, GatherOptions options);

  // A job of another kind, which the caller runs; it shows among the others.
  std::shared_ptr<Job> add(JobKind kind, std::string identity);

  // Whether a store or a gather runs, or waits for another.
  bool is_busy() const;
  // Whether a store of this identity does; and of which identities one does.
  bool is_storing(std::string const& identity) const;
  std::vector<std::string> storing() const;

  // Running ones and the most recent finished ones, newest first.
  std::vector<std::shared_ptr<Job>> recent() const;
  std::shared_ptr<Job> find(std::string_view id) const;  // null when there is none of that id

  // Cancels what runs; returns when all of it has ended.
  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct Entry {
    std::shared_ptr<Job> job;
    std::optional<FileStamp> stamp;  // store
    StoreOptions store_options;      // store
    GatherOptions options;           // gather
    bool is_outdated = false;        // gather: a store of its identity has been committed since
  };

  // To be called for every job that has ended.
  void count(Job const& job);
  void note_commit(std::string const& identity);
  Awaitable<void> run_store(std::shared_ptr<Job> before, std::shared_ptr<Job> job, Config config,
                            CheckpointRequest request, StoreOptions options);
  Awaitable<void> run_gather(std::shared_ptr<Job> before, std::shared_ptr<Job> job, Config config,
                             CheckpointRequest request, GatherOptions options);

  Services& services_;
  TaskGroup tasks_;
  std::map<std::string, Entry> stores_;                           // by identity: the newest
  std::map<std::pair<std::string, std::string>, Entry> gathers_;  // by identity and place
  std::deque<std::shared_ptr<Job>> recent_;                       // newest first
};

}  // namespace grove
