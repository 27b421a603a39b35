// The proof that a checkpoint can be had back: one is restored into a scratch folder, from what the
// workers have and nothing else, as after the loss of this machine's disk; re-read from the disk;
// its size and SHA-256 compared with those of the manifest; and removed, whatever came of it.
// Not here: the restoring (gather_job.h), the folder (drill_scratch.h).
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/config.h"
#include "coordinator/drill_result.h"
#include "coordinator/job.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "format/key.h"
#include "format/manifest.h"
#include "net/task_group.h"

namespace grove {

struct DrillOptions {
  std::optional<CheckpointKey> only;             // else any one, by chance, whose newest generation
                                                 // is complete and was not forgotten
  std::optional<std::filesystem::path> scratch;  // else see scratch_places
};

class Drills {
 public:
  // All of them must outlive it. `kept_at`: the file that the last result is read from, and kept
  // in (blocks on the disk); none: in memory only.
  Drills(Services& services, Jobs& jobs, Overview& overview,
         std::optional<std::filesystem::path> kept_at);

  // Joins the newest one while that runs with the same options. Its lines end with "Done: …" or
  // "ERROR: …".
  std::shared_ptr<Job> run(Config config, DrillOptions options);
  Awaitable<void> stop(std::chrono::milliseconds grace);

  // The last drill that said anything of the copies, not one that lacked a scratch folder or was
  // cut off, as serialize(DrillResult).
  std::string last_json() const { return serialize(last_); }

 private:
  struct Choice {
    CheckpointKey key;
    std::uint64_t bytes = 0;  // 0: not known yet
  };

  Awaitable<void> carry_out(Config config, DrillOptions options, std::shared_ptr<Job> job);
  Awaitable<Result<void>> attempt(Config config, DrillOptions options, std::shared_ptr<Job> job,
                                  DrillResult& outcome);
  Awaitable<Result<Choice>> choose(Config const& config, DrillOptions const& options);
  Awaitable<Result<void>> restore(Config config, CheckpointKey key, std::filesystem::path path,
                                  std::shared_ptr<Job> job, DrillResult& outcome);
  Awaitable<Result<void>> compare(std::filesystem::path path, Manifest const& manifest);
  void show(DrillResult result);
  Awaitable<void> keep(DrillResult result);
  Awaitable<void> tell_progress(std::shared_ptr<Job> job);

  Services& services_;
  Jobs& jobs_;
  Overview& overview_;
  std::shared_ptr<Job> job_;  // the newest one's, which may have ended
  DrillOptions options_;      // of it
  std::optional<DrillResult> last_;
  std::optional<std::filesystem::path> kept_at_;
  TaskGroup tasks_;
};

}  // namespace grove
