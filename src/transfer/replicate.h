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
  // Called when these many bytes have moved, which took so long; takes the rest that is to be made
  // for others' sake. false: stop.
  std::function<Awaitable<bool>(std::uint64_t bytes, std::chrono::nanoseconds took)> pace;
};

// Gives `to` the list and the chunks of it that it lacks, several sources at once; all is durable
// there when it returns. A chunk that one source does not give is asked of the others.
// Fails: unavailable (nobody gave a chunk; what the last one said), exhausted (`to` has no room),
// as `to`; cancelled.
Awaitable<Result<void>> replicate(WorkerClient& to, std::span<WorkerAddress const> from,
                                  Digest list_digest, ShardList const& list,
                                  ReplicateEvents const& events);

// These chunks alone, not made durable.
Awaitable<Result<void>> pull_from_any(WorkerClient& to, std::span<WorkerAddress const> from,
                                      std::vector<Digest> chunks);

}  // namespace grove
