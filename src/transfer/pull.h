// These chunks, from that worker, each proven before it is handed on: the one movement of bytes out
// of a worker, used by gather (sink: the file being written) and between workers (sink: a store).
// Threads: the HttpClient's executor; decoding and the sink's work are offloaded.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "transfer/worker_client.h"

namespace grove {

// Takes one proven chunk: `encoded` as it travelled and `raw`, both valid during the call only.
// Runs on an offload thread; several calls may run at once.
using ChunkSink = std::function<Result<void>(
    Digest const& digest, std::span<std::byte const> encoded, std::span<std::byte const> raw)>;

// Who compares a chunk with its name. A sink that does so anyway (a ChunkStore) is not made to hash
// every byte twice: it gets an empty `raw` and answers `corrupt` itself.
enum class Proof { before_sink, by_sink };

// One chunk. Fails: what the worker or the sink said; corrupt (other bytes than `digest` names).
Awaitable<Result<void>> pull_chunk(WorkerClient& from, Digest digest, ChunkSink const& sink,
                                   Offload& offload, Proof proof = Proof::before_sink);

// Which failure ends the pull; the chunks that were not asked for get the same error.
enum class StopAfter { nothing, unreachable_source };

struct PullOptions {
  std::size_t in_flight = limits::pulls_in_flight_max;
  Semaphore* buffers = nullptr;  // bytes of chunk bodies held at once; none: only in_flight bounds
  Proof proof = Proof::before_sink;
  StopAfter stop_after = StopAfter::nothing;
};

// Several requests are in flight at once, so that the link does not idle between two chunks. One
// outcome per digest, in the order given; `observer` hears of each as it is known.
Awaitable<std::vector<PullOutcome>> pull_chunks(WorkerClient& from, std::span<Digest const> digests,
                                                ChunkSink sink, Offload& offload,
                                                PullOptions options, PullObserver observer = {});

}  // namespace grove
