// Forgetting on purpose. What a newer generation has replaced goes by its refs, each with witnesses
// that prove the newer one. What a person or `retention` lets go, a generation or a whole
// checkpoint, goes by a tombstone on every worker, which those that are away are told later.
// Threads: the coordinator's executor.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "coordinator/jobs.h"
#include "coordinator/marks.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "net/asio.h"

namespace grove {

// The workers that hold a sound manifest of this generation, by index.
std::vector<std::size_t> manifest_holders(std::span<WorkerInventory const> inventories,
                                          CheckpointKey const& key, Generation generation);

// What has replaced a generation, and who holds it, by index. No witness: nothing, it was never
// finished.
struct Superseded {
  Generation newer{};
  std::vector<std::size_t> witnesses{};
};

// Removes the generation's refs from every worker that answers and has some: shards first, then
// manifests. All that `by` names must hold what they have of the newer generation, whole.
// Fails: conflict (a witness does not prove it, or another coordinator deleted a short while ago),
// as the workers; what was removed by then stays removed.
Awaitable<Result<void>> forget_generation(Services const& services, Config const& config,
                                          std::span<Member const> members,
                                          std::span<WorkerInventory const> inventories,
                                          CheckpointKey key, Generation generation, Superseded by);

struct ForgetRequest {
  CheckpointKey key;
  std::optional<Generation> only;  // none: the checkpoint with all of its generations
  bool force = false;              // also the last complete generation, or a pinned checkpoint
};

// For a whole checkpoint. It names the file as it is now, so that the watcher knows what it must
// not bring back; where it is gone, as it was stored (`manifest`, which may be null).
Awaitable<Tombstone> tombstone_of_all(Services const& services, Config const& config,
                                      CheckpointKey key, Generation up_to,
                                      Manifest const* manifest);

// What a person asked for. Returns what was done, in words. Fails, with nothing changed: not_found
// (it is not stored on the workers that answer), conflict (it is being stored; not forced: it is
// the last complete generation, or no other one is safe), unavailable (fewer workers than
// `redundancy` answer; not forced: too few to tell whether there is a complete generation).
Awaitable<Result<std::string>> forget_as_asked(Services& services, Jobs& jobs, Config config,
                                               ForgetRequest request);

}  // namespace grove
