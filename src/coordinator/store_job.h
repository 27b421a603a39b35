// A store, from the request to the commit: request → plan → transfer → commit.
//
// Promise: the line "Done: …" comes after every shard has all its copies, durable, and the manifest
// is on every holder; a store that ends with "ERROR: …" leaves the previous generation as the one
// that a gather gives. A file that changes meanwhile is an error, never a torn copy.
// Threads: the coordinator's executor.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/file.h"
#include "coordinator/checkpoint_request.h"
#include "coordinator/generation_choice.h"
#include "coordinator/job.h"
#include "coordinator/members.h"
#include "coordinator/worker_search.h"
#include "plan/placement.h"
#include "plan/shards.h"
#include "transfer/chunk_sender.h"
#include "transfer/chunk_source.h"
#include "transfer/push.h"

namespace grove {

// What became of one copy of one shard. Partial failure is data: the job decides what it means.
struct CopyOutcome {
  PlannedCopy copy;
  std::size_t retries = 0;
  std::optional<Error> error;
  bool is_left_out = false;
};

struct StoreOptions {
  // Adds what workers that answer lack to this generation, which must be the newest complete one
  // and have this content, or fails with conflict: no other is made. Workers that do not answer are
  // left out at once, and then the job fails with unavailable when the others have all that is
  // theirs.
  std::optional<Generation> only_into;
  friend bool operator==(StoreOptions const&, StoreOptions const&) = default;
};

class StoreJob {
 public:
  // `services` must outlive the job.
  StoreJob(Services& services, Config config, CheckpointRequest request, StoreOptions options,
           std::shared_ptr<Job> job);

  // Runs to the end; the outcome is the job's last line. `on_committed` is called before the line
  // "Done: …" can be seen.
  Awaitable<void> run(std::function<void()> on_committed);

 private:
  Awaitable<Result<void>> open_request();
  Awaitable<Result<void>> make_plan();
  Awaitable<Result<void>> transfer();
  Awaitable<Result<void>> commit();
  Awaitable<void> forget_superseded();
  Awaitable<void> give_back();
  Awaitable<void> give_back_of(std::size_t worker_index);

  Awaitable<void> find_earlier_generations();
  Result<void> check_addition();
  Result<void> check_none_left_out() const;
  void prepare_pushes();
  Awaitable<Result<std::vector<Digest>>> commit_copy(PlannedCopy copy, WorkerClient& worker,
                                                     Digest list);
  Awaitable<void> send_copy(std::size_t index);
  void look_for_workers();
  Awaitable<void> send_header(std::size_t index);
  Awaitable<void> hash_whole_file();
  void stop_for(Error error);
  Awaitable<Result<void>> check_unchanged();
  Manifest build_manifest(Generation generation) const;
  // Runs `call` on every holder, with retries; returns on how many it failed for good.
  using HolderCall = std::function<Awaitable<Result<void>>(std::size_t holder, WorkerClient&)>;
  Awaitable<std::size_t> on_each_holder(HolderCall call);
  Awaitable<void> on_holder(std::size_t holder, HolderCall const& call, std::size_t& failed_count);
  WorkerClient client_of(std::size_t worker_index);
  DeviceConfig const& device(std::size_t worker_index) const {
    return config_.workers[worker_index];
  }

  Services& services_;
  Config config_;
  CheckpointRequest request_;
  StoreOptions options_;
  std::shared_ptr<Job> job_;
  WorkerSearch search_;
  TaskGroup searching_;

  // request
  std::unique_ptr<ChunkSource> source_;
  FileStamp stamp_;
  // plan
  FilePlan plan_;
  std::vector<CopyOutcome> copies_;   // by shard, then round
  std::vector<std::size_t> holders_;  // the workers that get anything, each once
  ClusterView before_;                // what the workers held when the store began
  std::optional<GenerationChoice> choice_;
  // transfer
  std::unique_ptr<DeltaBases> bases_;
  std::optional<ChunkSender> sender_;
  std::vector<std::unique_ptr<ShardPush>> pushes_;  // by shard
  std::unique_ptr<ShardPush> header_push_;
  std::optional<TaskGroup> tasks_;
  std::optional<Error> stopped_for_;
  struct CommittedRef {
    std::size_t worker_index = 0;
    Ref ref;
  };
  std::vector<CommittedRef> committed_refs_;  // of a generation that is not complete yet
  std::optional<Digest> whole_file_;
  struct HolderError {
    std::size_t worker_index = 0;
    Error error;
  };
  std::vector<HolderError> header_errors_;
  std::optional<Manifest> manifest_;
};

}  // namespace grove
