// The chunks of a gather, from all holders in parallel, each proven, into a sink per shard. Every
// worker has a bounded number of requests under way, across all lists together, so that a slow one
// holds up no more than those; plan/chunk_schedule.h decides who is asked for what.
// Threads: the job's executor; sinks run on pool threads, several calls at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/semaphore.h"
#include "net/signal.h"
#include "net/task_group.h"
#include "net/throttle.h"
#include "plan/chunk_schedule.h"
#include "transfer/worker_client.h"

namespace grove {

struct Holder {
  std::size_t worker_index = 0;
  WorkerClient client;
};

// Takes one proven chunk at one of its places in the file.
using PlacedChunkSink =
    std::function<Result<void>(std::span<std::byte const> raw, std::uint64_t file_offset)>;

// A list is another holder's to serve, since `failed` does not any more.
using HolderReplaced = std::function<void(std::size_t next, std::size_t failed)>;

// Where the chunks of one list go, and whom to tell. The callbacks run on the job's executor.
struct FetchTarget {
  PlacedChunkSink sink;
  HolderReplaced on_replaced;
};

class Fetch {
 public:
  struct Options {
    asio::any_io_executor executor;
    Offload& offload;
    Semaphore& buffers;            // bytes of chunk bodies held at once
    Throttle* throttle = nullptr;  // of the job; none: as fast as it goes
    // A holder did not give what it was asked for.
    std::function<void(std::size_t worker_index)> on_failure;
    // … since its copy is damaged, as it says itself or as what it gave tells.
    std::function<void(std::size_t worker_index)> on_damage;
    std::function<void(std::uint64_t bytes)> on_bytes;  // written, in steps
  };
  // stop() must have returned before it is destroyed.
  explicit Fetch(Options options);

  // The shard list itself, proven, from the first holder that gives it. A holder that was left out
  // (plan/chunk_schedule.h) is not asked again, for anything, until it is named with another
  // address. Fails: unavailable, with what each holder said last; cancelled.
  Awaitable<Result<ShardList>> shard_list(Digest digest, std::vector<Holder> holders);

  // All chunks of one list; several calls at once share the workers. Returns the index of the
  // worker whose copy was served: the first holder, unless that failed. An empty list asks nobody.
  // `holders` must not be empty. When it returns no sink is at work any more; but after a
  // cancellation of the caller, only when stop() does.
  // Fails: what the sink said, at once; unavailable, with what each holder said last; cancelled.
  Awaitable<Result<std::size_t>> chunks(ShardList list, std::vector<Holder> holders,
                                        FetchTarget target);

  // Ends all requests and waits for them, whatever becomes of the caller.
  Awaitable<void> stop();

 private:
  struct List;
  struct Worker {
    WorkerClient client;
    Error last_error;
  };

  void meet(std::vector<Holder> const& holders);
  Awaitable<void> work(std::size_t worker);
  Awaitable<void> move(ChunkSchedule::RequestId request, std::size_t worker,
                       std::shared_ptr<List> list, std::size_t chunk);
  void note_success(ChunkSchedule::RequestId request, List& list, std::size_t chunk);
  void note_failure(ChunkSchedule::RequestId request, List& list, std::size_t worker, Error error);
  void look_at_lists();
  void end(List& list);
  Error nobody_gave(std::vector<Holder> const& holders, std::map<std::size_t, Error> const& causes);
  ChunkSchedule::Seconds now() const;

  Options options_;
  ChunkSchedule schedule_;
  std::map<std::size_t, Worker> workers_;
  std::map<ChunkSchedule::ListId, std::shared_ptr<List>> lists_;
  struct Running {
    ChunkSchedule::ListId list = 0;
    TaskGroup* task = nullptr;
  };
  std::map<ChunkSchedule::RequestId, Running> running_;
  Signal more_to_do_;
  TaskGroup tasks_;
};

}  // namespace grove
