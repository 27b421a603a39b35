// Brings a list's chunks to a worker, pulled from those that hold them: repair, hand-back and
// moving are all this. Nothing goes through the caller but the list.
// Not here: which copy goes where (plan/repair_plan.h), the ref that makes it count.
// Threads: one executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "transfer/worker_client.h"

namespace grove {

struct ReplicateEvents {
  // Waits until a window may be moved. false: not now, and no more.
  std::function<Awaitable<bool>()> wait_for_turn;
  // After each: what it has moved, in which time; nothing where that failed.
  std::function<void(std::uint64_t bytes, std::chrono::nanoseconds took)> moved;
};

// Gives `to` the list and the chunks of it that it lacks, several sources at once; all is durable
// there when it returns. A chunk that one source does not give is asked of the others.
// Fails: unavailable (nobody gave a chunk; what the last one said), exhausted (`to` has no room),
// as `to`; cancelled (also where it had no turn: what has moved by then need not move again).
Awaitable<Result<void>> replicate(WorkerClient& to, std::span<WorkerAddress const> from,
                                  Digest list_digest, ShardList const& list,
                                  ReplicateEvents const& events);

// These chunks alone, not made durable.
Awaitable<Result<void>> pull_from_any(WorkerClient& to, std::span<WorkerAddress const> from,
                                      std::vector<Digest> chunks);

}  // namespace grove
