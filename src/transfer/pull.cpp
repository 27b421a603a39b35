#include "transfer/pull.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "format/chunk.h"
#include "net/parallel.h"

namespace grove {
namespace {

Result<void> prove_and_hand_on(Digest const& digest, std::span<std::byte const> encoded,
                               ChunkSink const& sink, Proof proof) {
  if (proof == Proof::by_sink) return sink(digest, encoded, {});
  Buffer scratch;
  TRY(auto const raw, decode_chunk(encoded, digest, scratch));
  return sink(digest, encoded, raw);
}

// One pull: what its lanes share. All of them run on one executor.
class Pull {
 public:
  Pull(WorkerClient& from, std::span<Digest const> digests, ChunkSink const& sink, Offload& offload,
       PullOptions options, PullObserver const& observer)
      : from_(from),
        digests_(digests),
        sink_(sink),
        offload_(offload),
        options_(options),
        observer_(observer) {
    outcomes_.reserve(digests.size());
    for (Digest const& digest : digests) outcomes_.push_back({.chunk = digest, .error = {}});
  }

  // Takes the next chunk that no other lane has taken, until none is left.
  Awaitable<void> lane() {
    while (next_ < digests_.size()) {
      PullOutcome& outcome = outcomes_[next_++];
      auto moved = co_await move_one(outcome.chunk);
      if (!moved) {
        outcome.error = std::move(moved).error();
        if (outcome.error->kind == ErrorKind::unavailable) unreachable_ = outcome.error;
      }
      if (observer_) observer_(outcome);
    }
  }

  std::vector<PullOutcome> outcomes() && { return std::move(outcomes_); }

 private:
  Awaitable<Result<void>> move_one(Digest const& digest) {
    bool const cancelled = co_await is_cancelled();
    if (cancelled) co_return fail(ErrorKind::cancelled, "pull: cancelled");
    if (unreachable_ && options_.stop_after == StopAfter::unreachable_source) {
      co_return *unreachable_;
    }
    Semaphore::Permit permit;
    if (options_.buffers != nullptr) {
      CO_TRY(permit, co_await options_.buffers->acquire(limits::encoded_chunk_bytes_max));
    }
    co_return co_await pull_chunk(from_, digest, sink_, offload_, options_.proof);
  }

  WorkerClient& from_;
  std::span<Digest const> digests_;
  ChunkSink const& sink_;
  Offload& offload_;
  PullOptions options_;
  PullObserver const& observer_;
  std::vector<PullOutcome> outcomes_;
  std::size_t next_ = 0;
  std::optional<Error> unreachable_;
};

}  // namespace

Awaitable<Result<void>> pull_chunk(WorkerClient& from, Digest digest, ChunkSink const& sink,
                                   Offload& offload, Proof proof) {
  CO_TRY(auto const encoded, co_await from.get_chunk(digest));
  auto taken =
      co_await offload.run([&] { return prove_and_hand_on(digest, encoded.span(), sink, proof); });
  if (!taken && taken.error().kind == ErrorKind::corrupt) {
    co_return fail(ErrorKind::corrupt, "{}: {}", from.address().endpoint.text(),
                   taken.error().message);
  }
  co_return taken;
}

Awaitable<std::vector<PullOutcome>> pull_chunks(WorkerClient& from, std::span<Digest const> digests,
                                                ChunkSink sink, Offload& offload,
                                                PullOptions options, PullObserver observer) {
  GROVE_ASSERT(options.in_flight > 0);
  Pull pull(from, digests, sink, offload, options, observer);
  std::vector<Awaitable<void>> lanes;
  for (std::size_t count = std::min(options.in_flight, digests.size()); count > 0; --count) {
    lanes.push_back(pull.lane());
  }
  co_await run_all(std::move(lanes));
  co_return std::move(pull).outcomes();
}

}  // namespace grove
