// One shard's way to all its copies, window by window: "which of these do you lack?", then send;
// the other copies pull what one of them has (plan/window_source.h decides), and what a pull cannot
// get is sent from the file. The only retry loop for stores: one try and six retries per copy.
//
// A window's chunks are in memory only while it is sent; the next one is read beside that, where
// there is room. Other copies learn of a window as soon as it is acknowledged; durability is asked
// for every sync_bytes_max and at the end.
// Not here: how a chunk is encoded (transfer/chunk_sender.h), what a copy means and when it becomes
// visible (the job's commit), lines for people.
// Threads: the job's executor. All tasks of one ShardPush must have ended before it does.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/limits.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/task_group.h"
#include "plan/shards.h"
#include "plan/window_source.h"
#include "plan/windows.h"
#include "transfer/chunk_sender.h"
#include "transfer/chunk_source.h"
#include "transfer/worker_client.h"

namespace grove {

struct RetryNotice {
  std::size_t retry = 0;  // from 1
  std::chrono::seconds delay{};
  Error error;
};

// What a push tells its job, or asks it. Called on the job's executor.
struct PushEvents {
  std::function<void(std::size_t copy, RetryNotice const& notice)> retry;
  // These many bytes of the shard are, for the first time, durable on some copy.
  std::function<void(std::uint64_t bytes)> durable;
  // Where the copy's worker is now: asked before every try.
  std::function<Endpoint(std::size_t copy)> locate;
};

// Makes a copy visible once all its chunks and its shard list are durable on the worker; answers
// with the chunks that the worker turned out to lack, which are then sent again.
using CommitCopy = std::function<Awaitable<Result<std::vector<Digest>>>(
    std::size_t copy, WorkerClient& worker, Digest list)>;

// Runs `attempt` once, and again after each of `delays` (which must outlive the call) while its
// error is retryable. The error of a try that will be repeated goes to `on_retry`; the last one is
// returned.
// Fails: as the attempt; cancelled.
Awaitable<Result<void>> with_retries(
    std::function<Awaitable<Result<void>>()> attempt,
    std::function<void(RetryNotice const&)> on_retry,
    std::span<std::chrono::seconds const> delays = limits::retry_delays);

class ShardPush {
 public:
  // `source`, `sender` and `buffers` must outlive the push. `slices` lie one behind the other in
  // the file.
  ShardPush(asio::any_io_executor executor, ChunkSource& source, ChunkSender& sender,
            std::vector<ChunkSlice> slices, std::vector<WorkerClient> copies, Semaphore& buffers,
            PushEvents events, CommitCopy commit);

  // Brings the copy to its worker, with retries; returns when it is durable and committed, or has
  // failed for good. Run one task per copy, side by side.
  // Fails: conflict (the file changed), or what the last try said; cancelled.
  Awaitable<Result<void>> run_copy(std::size_t copy);

  // One copy more, of a worker that stands in for another; its number. While others run.
  std::size_t add_copy(WorkerClient worker);

  // This copy is not made: the others do not wait for it. Before any of them runs.
  void leave_out(std::size_t copy) { progress_[copy].phase = CopyPhase::failed; }

  // Sends the copy's worker what it lacks of these chunks, once more. The list is known.
  Awaitable<Result<void>> push_missing(std::size_t copy, std::vector<Digest> digests);

  // Reads what no copy could be sent, so that the shard's content is known all the same.
  Awaitable<Result<void>> complete_list();

  // The shard list, once every window has been read.
  std::optional<ShardList> const& list() const { return list_; }
  // Its name, from then on.
  Digest const& list_digest() const { return list_digest_; }
  // Why the file itself could not be read, or that it changed: no retry can mend it.
  std::optional<Error> const& source_error() const { return source_error_; }
  // Called when list() becomes known; set before any task runs.
  std::function<void(Digest list)> on_list_known;

 private:
  struct ReadWindow {
    Semaphore::Permit room;
    std::vector<ReadChunk> chunks;
  };
  // What a worker says of chunks that it was offered.
  struct Answer {
    std::unordered_set<Digest> lacking;
    // By a chunk's name the base that it holds and may rebuild it from.
    std::unordered_map<Digest, DeltaBase> bases;
  };

  Awaitable<Result<void>> attempt(std::size_t self);
  Awaitable<Result<void>> move_window(std::size_t self, WindowSource from, std::size_t index);
  Awaitable<Result<void>> push_window(std::size_t self, std::size_t index);
  Awaitable<Result<void>> pull_window(std::size_t self, std::size_t from, Window window);
  // These chunks, whose names are known: only what is lacking is read again.
  Awaitable<Result<void>> push_known(std::size_t self, std::vector<std::size_t> indexes);
  Awaitable<Result<Answer>> ask(std::size_t self, std::vector<std::size_t> const& indexes);
  // Sends what the worker lacks of these.
  Awaitable<Result<void>> send(std::size_t self, std::vector<ReadChunk>& chunks,
                               Answer const& answer);
  Awaitable<Result<void>> send_one(std::size_t self, ReadChunk& chunk, Answer const& answer);
  Awaitable<Result<ReadWindow>> take_window(std::size_t index);
  Awaitable<void> read_ahead(std::size_t self, std::size_t index);
  void drop_ahead(std::size_t self);
  std::span<ChunkSlice const> slices_of(Window window) const;
  Awaitable<Result<std::vector<ReadChunk>>> read_window(Window window);
  Awaitable<Result<void>> sync(std::size_t self);
  Result<void> record(std::size_t first, std::vector<ReadChunk> const& chunks);
  void finish_list();
  bool is_ahead(std::size_t index) const { return ahead_ && ahead_->window_index == index; }
  bool is_known(Window window) const { return window.last <= chunks_.size(); }
  // Indexes of the window's chunks, each name once.
  std::vector<std::size_t> distinct_in(Window window) const;
  // What the chunk may be sent as a change of.
  std::optional<DeltaBase> base_of(std::size_t index) const;

  ChunkSource& source_;
  ChunkSender& sender_;
  std::vector<ChunkSlice> slices_;
  std::vector<Window> windows_;
  std::deque<WorkerClient> copies_;  // not a vector: calls are under way while one is added
  std::vector<CopyProgress> progress_;
  Semaphore& buffers_;
  PushEvents events_;
  CommitCopy commit_;
  Signal changed_;
  std::vector<ChunkRef> chunks_;  // known so far: windows are first read in order
  struct Ahead {
    std::size_t window_index = 0;
    std::size_t copy = 0;  // whose task has read it
    ReadWindow read;
  };
  std::optional<Ahead> ahead_;
  std::optional<Error> source_error_;
  std::optional<ShardList> list_;
  Digest list_digest_;
  Buffer list_bytes_;
  std::size_t windows_durable_ = 0;  // on some copy
};

}  // namespace grove
