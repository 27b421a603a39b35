#include "transfer/pull.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "format/chunk.h"
#include "net/parallel.h"

namespace grove {
namespace {

// A worker proves what it sends, and says so where its disk is at fault: other bytes come of the
// wire, and most likely not a second time. There may be no other holder.
constexpr int tries_of_bytes = 2;

Result<void> prove_and_hand_on(Digest const& digest, std::span<std::byte const> encoded,
                               ChunkSink const& sink, Proof proof) {
  if (proof == Proof::by_sink) return sink(digest, encoded, {});
  Buffer scratch;
  TRY(auto const raw, decode_chunk(encoded, digest, scratch));
  return sink(digest, encoded, raw);
}

Awaitable<Result<void>> pull_delta(WorkerClient& from, Digest digest, Digest base,
                                   DeltaSink const& sink, Offload& offload) {
  CO_TRY(auto delta, co_await from.get_delta(digest, base));
  co_return co_await offload.run([&] { return sink(digest, base, std::move(delta)); });
}

// Where the delta is at fault and not the chunk, its source or its sink.
bool wants_whole(ErrorKind kind) {
  return kind == ErrorKind::conflict || kind == ErrorKind::corrupt;
}

// One pull: what its lanes share. All of them run on one executor.
class Pull {
 public:
  Pull(WorkerClient& from, std::span<WantedChunk const> wanted, ChunkSink const& sink,
       Offload& offload, PullOptions const& options, PullObserver const& observer)
      : from_(from),
        wanted_(wanted),
        sink_(sink),
        offload_(offload),
        options_(options),
        observer_(observer) {
    outcomes_.reserve(wanted.size());
    for (WantedChunk const& chunk : wanted) {
      outcomes_.push_back({.chunk = chunk.digest, .error = {}});
    }
  }

  // Takes the next chunk that no other lane has taken, until none is left.
  Awaitable<void> lane() {
    while (next_ < wanted_.size()) {
      auto const index = next_++;
      PullOutcome& outcome = outcomes_[index];
      auto moved = co_await move_one(wanted_[index]);
      if (!moved) {
        outcome.error = std::move(moved).error();
        if (outcome.error->kind == ErrorKind::unavailable) unreachable_ = outcome.error;
      }
      if (observer_) observer_(outcome);
    }
  }

  std::vector<PullOutcome> outcomes() && { return std::move(outcomes_); }

 private:
  Awaitable<Result<void>> move_one(WantedChunk const& chunk) {
    bool const cancelled = co_await is_cancelled();
    if (cancelled) co_return fail(ErrorKind::cancelled, "pull: cancelled");
    if (unreachable_ && options_.stop_after == StopAfter::unreachable_source) {
      co_return *unreachable_;
    }
    // Room for both ways is taken at once: who waits for room holds none.
    Semaphore::Permit permit;
    bool const has_delta_room = may_be_delta(chunk);
    if (options_.buffers != nullptr) {
      auto const room = has_delta_room ? limits::delta_room_bytes : limits::encoded_chunk_bytes_max;
      CO_TRY(permit, co_await options_.buffers->acquire(room));
    }
    if (has_delta_room) {
      if (may_be_delta(chunk)) {  // still, after the wait
        auto moved = co_await move_delta(chunk);
        if (moved || !wants_whole(moved.error().kind)) co_return moved;
      }
      if (options_.buffers != nullptr) {
        permit.release(limits::delta_room_bytes - limits::encoded_chunk_bytes_max);
      }
    }
    co_return co_await pull_chunk(from_, chunk.digest, sink_, offload_, options_.proof);
  }

  bool may_be_delta(WantedChunk const& chunk) const {
    return chunk.base && options_.delta_sink && useless_deltas_ < limits::delta_refusals_max;
  }

  Awaitable<Result<void>> move_delta(WantedChunk const& chunk) {
    auto moved =
        co_await pull_delta(from_, chunk.digest, *chunk.base, options_.delta_sink, offload_);
    if (moved) {
      // What comes in late, after they were given up, changes nothing.
      if (useless_deltas_ < limits::delta_refusals_max) useless_deltas_ = 0;
    } else if (wants_whole(moved.error().kind)) {
      ++useless_deltas_;
    }
    co_return moved;
  }

  WorkerClient& from_;
  std::span<WantedChunk const> wanted_;
  ChunkSink const& sink_;
  Offload& offload_;
  PullOptions const& options_;
  PullObserver const& observer_;
  std::vector<PullOutcome> outcomes_;
  std::size_t next_ = 0;
  std::size_t useless_deltas_ = 0;  // in a row
  std::optional<Error> unreachable_;
};

}  // namespace

Awaitable<Result<void>> pull_chunk(WorkerClient& from, Digest digest, ChunkSink const& sink,
                                   Offload& offload, Proof proof) {
  for (int tries_left = tries_of_bytes - 1;; --tries_left) {
    CO_TRY(auto const encoded, co_await from.get_chunk(digest));
    auto taken = co_await offload.run(
        [&] { return prove_and_hand_on(digest, encoded.span(), sink, proof); });
    if (taken || taken.error().kind != ErrorKind::corrupt) co_return taken;
    if (tries_left > 0) continue;
    co_return fail(ErrorKind::corrupt, "{}: {}", from.address().endpoint.text(),
                   taken.error().message);
  }
}

Awaitable<std::vector<PullOutcome>> pull_chunks(WorkerClient& from,
                                                std::span<WantedChunk const> wanted, ChunkSink sink,
                                                Offload& offload, PullOptions options,
                                                PullObserver observer) {
  GROVE_ASSERT(options.in_flight > 0);
  Pull pull(from, wanted, sink, offload, options, observer);
  std::vector<Awaitable<void>> lanes;
  for (std::size_t count = std::min(options.in_flight, wanted.size()); count > 0; --count) {
    lanes.push_back(pull.lane());
  }
  co_await run_all(std::move(lanes));
  co_return std::move(pull).outcomes();
}

}  // namespace grove
