// These chunks, from that worker, each proven before it is handed on: the one movement of bytes out
// of a worker, used by gather (sink: the file being written) and between workers (sink: a store).
//
// A chunk with a base is asked for as a delta where the sink can rebuild it; when that cannot be,
// for whatever reason that lies in the delta, the chunk comes whole, and nobody hears of it.
// Not here: how a chunk is rebuilt, and whether its base is there (the DeltaSink's business).
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

// Takes one chunk as a delta to `base`, rebuilds and proves it. Runs as a ChunkSink does.
// Fails: conflict, corrupt (no chunk comes of this delta: it is fetched whole); anything else is
// the chunk's outcome.
using DeltaSink =
    std::function<Result<void>(Digest const& digest, Digest const& base, Buffer delta)>;

// Who compares a chunk with its name. A sink that does so anyway (a ChunkStore) is not made to hash
// every byte twice: it gets an empty `raw` and answers `corrupt` itself.
enum class Proof { before_sink, by_sink };

// One chunk. Other bytes than `digest` names are asked for once more: a bit may have flipped on the
// wire. Fails: what the worker or the sink said; corrupt (other bytes again).
Awaitable<Result<void>> pull_chunk(WorkerClient& from, Digest digest, ChunkSink const& sink,
                                   Offload& offload, Proof proof = Proof::before_sink);

// Which failure ends the pull; the chunks that were not asked for get the same error.
enum class StopAfter { nothing, unreachable_source };

struct PullOptions {
  std::size_t in_flight = limits::pulls_in_flight_max;
  // Bytes of chunk bodies held at once: room for one at least, and for a delta where there is a
  // sink for them. None: only in_flight bounds.
  Semaphore* buffers = nullptr;
  Proof proof = Proof::before_sink;
  StopAfter stop_after = StopAfter::nothing;
  DeltaSink delta_sink = {};  // none: all chunks come whole
};

// Several requests are in flight at once, so that the link does not idle between two chunks. One
// outcome per chunk, in the order given; `observer` hears of each as it is known. After
// delta_refusals_max useless deltas in a row the rest comes whole.
Awaitable<std::vector<PullOutcome>> pull_chunks(WorkerClient& from,
                                                std::span<WantedChunk const> wanted, ChunkSink sink,
                                                Offload& offload, PullOptions options,
                                                PullObserver observer = {});

}  // namespace grove
