// A gather, from the request to the commit: request → plan → transfer → commit.
//
// Promise: the exact bytes of the newest complete generation that any reachable worker knows of, or
// an error that names it, and an older one that can be had; never an older one silently, never a
// partial file. A file that grove did not write is never replaced.
// Threads: the coordinator's executor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "coordinator/checkpoint_request.h"
#include "coordinator/job.h"
#include "coordinator/members.h"
#include "coordinator/worker_search.h"
#include "plan/gather_plan.h"
#include "transfer/checkpoint_writer.h"
#include "transfer/fetch.h"

namespace grove {

struct GatherOptions {
  std::optional<std::filesystem::path> output;  // instead of merged.X beside the checkpoint
  std::optional<Generation> generation;         // instead of the newest complete one

  friend bool operator==(GatherOptions const&, GatherOptions const&) = default;
};

class GatherJob {
 public:
  // `services` must outlive the job.
  GatherJob(Services& services, Config config, CheckpointRequest request, GatherOptions options,
            std::shared_ptr<Job> job);

  // Runs to the end; the outcome is the job's last line.
  Awaitable<void> run();

  // The same in parts, for who has more to do with the file before the job ends:
  Awaitable<Result<void>> restore();
  Awaitable<void> have_damage_looked_at();
  // … and what is restored, once it was chosen.
  Manifest const& manifest() const { return manifest_; }

 private:
  struct Shard {
    std::optional<CheckpointWriter> file;  // with keep_shards
    std::uint64_t header_bytes = 0;        // of that file
    std::optional<std::size_t> served_by;  // worker index
    bool is_over = false;
  };

  Awaitable<Result<void>> choose_generation();
  Awaitable<Result<void>> choose_output();
  Awaitable<Result<void>> transfer();
  Awaitable<Result<void>> commit();

  Awaitable<std::string> older_hint(Generation lost);
  Awaitable<Result<void>> fetch_all();
  Awaitable<Result<void>> fetch_header();
  Awaitable<Result<void>> open_shard_file(ShardIndex index);
  Awaitable<Result<void>> fetch_shard(ShardIndex index);
  // Runs `fetch` again when one of `holders` has moved meanwhile.
  Awaitable<Result<void>> follow_holders(std::vector<std::size_t> const& holders,
                                         std::function<Awaitable<Result<void>>()> fetch);
  Awaitable<void> fetch_next_shards();
  Awaitable<void> announce_in_order();
  void tell_fallback(ShardIndex shard, std::size_t next, std::size_t failed);
  std::vector<Holder> holders_at(std::vector<std::size_t> const& worker_indexes);
  void note_damage(std::size_t worker_index);
  std::string mark() const;
  DeviceConfig const& device(std::size_t worker_index) const {
    return config_.workers[worker_index];
  }

  Services& services_;
  Config config_;
  CheckpointRequest request_;
  GatherOptions options_;
  std::shared_ptr<Job> job_;
  WorkerSearch search_;

  // plan
  ClusterView view_;
  std::vector<GenerationView> generations_;  // newest first, complete ones
  Manifest manifest_;
  std::vector<std::size_t> manifest_holders_;
  GatherPlan plan_;
  std::filesystem::path output_;
  // transfer
  std::optional<CheckpointWriter> writer_;
  std::vector<Shard> shards_;
  Throttle throttle_;
  std::optional<Fetch> fetch_;
  std::uint32_t next_shard_ = 0;      // to be fetched
  std::uint32_t next_announced_ = 0;  // to be told to the followers
  bool is_announcing_ = false;
  std::size_t failed_count_ = 0;
  std::optional<Error> stopped_for_;  // our own disk failed
  std::set<std::size_t> damaged_;     // workers that gave chunks which do not match their names
};

}  // namespace grove
