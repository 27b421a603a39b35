// A store, from the request to the commit: request → plan → transfer → commit.
//
// Promise: the line "Done: …" comes after every shard has all its copies, durable, and the manifest
// is on every holder; a store that ends with "ERROR: …" leaves the previous generation as the one
// that a gather gives. A file that changes meanwhile is an error, never a torn copy.
// Threads: the coordinator's executor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

// One copy of one shard. Partial failure is data: the job decides what it means.
struct CopyOutcome {
  PlannedCopy copy;                    // where the ring puts it
  std::optional<std::size_t> kept_by;  // the worker that has it, durable: that one or a stand-in
  bool is_left_out = false;
  bool is_over = false;              // nothing more is tried
  std::unique_ptr<TaskGroup> sends;  // to that one, and to who stands in for it
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
  Awaitable<void> give_back_room();
  std::set<std::size_t> full_workers() const;
  Awaitable<void> give_back_of_all(std::set<std::size_t> workers);
  Awaitable<void> give_back_of(std::size_t worker_index);
  Awaitable<void> end_lease_of(std::size_t worker_index);

  Awaitable<void> find_earlier_generations();
  void pass_over_draining();
  Result<void> check_addition();
  Result<void> check_none_left_out() const;

  void prepare_pushes();
  void prepare_header();
  std::unique_ptr<ShardPush> make_push(std::size_t shard);
  Awaitable<void> make_copies();
  Awaitable<void> wait_for_copy(std::size_t index);
  Awaitable<void> run_send(std::size_t shard, std::size_t number);
  Awaitable<void> send_to(std::size_t shard, std::size_t number);
  void note_retry(std::size_t shard, std::size_t number, RetryNotice const& notice);
  Awaitable<void> heed_watch();
  bool has_gone(std::size_t worker_index) const;
  void doubt(std::size_t worker_index);
  void find_stand_in(std::size_t index);
  // `is_engaged`: has a copy of the shard, or is to get one.
  std::optional<std::size_t> fit_worker(CopyOutcome const& copy,
                                        std::function<bool(std::size_t)> const& is_engaged) const;
  void note_stand_in(std::size_t chosen, std::size_t replaced, ShardIndex shard);
  bool holds_shard(std::size_t worker_index, ShardIndex shard) const;
  void add_holder(std::size_t worker_index);
  Result<void> choose_final_holders();
  Awaitable<Result<std::vector<Digest>>> commit_copy(PlannedCopy copy, WorkerClient& worker,
                                                     Digest list);
  void look_for_workers();
  Awaitable<void> send_header(std::size_t number);
  Awaitable<void> hash_whole_file();
  void stop_for(Error error);
  Awaitable<Result<void>> check_unchanged();
  Manifest build_manifest(Generation generation) const;
  // Runs `call` on every holder, with retries, and leaves out of holders_ those where it failed.
  // Once enough have done it, one that fails again and again is not waited for.
  struct Holder;
  using HolderCall = std::function<Awaitable<Result<void>>(Holder const& holder, WorkerClient&)>;
  struct HolderRound;
  Awaitable<void> on_each_holder(HolderCall call);
  Awaitable<void> on_holder(HolderRound& round, std::size_t index);
  Awaitable<void> heed_watch_of(HolderRound& round);
  std::size_t holders_wanted() const;
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
  std::vector<CopyOutcome> copies_;  // by shard, then round
  ClusterView before_;               // what the workers held when the store began
  Presences::Clock::time_point surveyed_;
  std::optional<GenerationChoice> choice_;
  // transfer
  std::unique_ptr<DeltaBases> bases_;
  Throttle throttle_;
  std::optional<ChunkSender> sender_;
  // One worker's way to a copy: the ring's worker, or a stand-in.
  struct Send {
    std::size_t copy = 0;  // into copies_
    std::size_t worker_index = 0;
    std::size_t retries = 0;
    bool is_doubtful = false;  // it has failed twice
    std::optional<Error> error;
  };
  struct ShardSends {
    std::unique_ptr<ShardPush> push;
    std::deque<Send> sends;  // by the push's number of the copy; grows while others are under way
  };
  std::vector<ShardSends> shards_;
  std::optional<Signal> send_ended_;
  std::set<std::size_t> doubtful_workers_;
  std::vector<std::uint64_t> taken_bytes_;                        // by each worker as a stand-in
  std::set<std::pair<std::size_t, std::size_t>> told_stand_ins_;  // who for whom
  // The workers that get header and manifest, each once: those that keep a copy, or may yet.
  struct Holder {
    std::size_t worker_index = 0;
    std::size_t number = 0;  // of header_push_'s copies
  };
  std::vector<Holder> holders_;
  std::unique_ptr<ShardPush> header_push_;
  std::deque<TaskGroup> header_sends_;  // by number
  std::optional<TaskGroup> tasks_;
  std::optional<Error> stopped_for_;
  struct CommittedRef {
    std::size_t worker_index = 0;
    Ref ref;
  };
  std::vector<CommittedRef> committed_refs_;  // of a generation that is not complete yet
  std::optional<Digest> whole_file_;
  std::map<std::size_t, Error> header_errors_;  // by worker
  std::optional<Manifest> manifest_;
  bool has_begun_commit_ = false;  // a manifest's ref may be on a worker
};

}  // namespace grove
