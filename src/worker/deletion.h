// DELETE /refs: the one call that can lose something, so it is the one that asks back. What is
// deleted must be held, whole, by every witness that the caller names: the same shard list for a
// shard, or a newer complete generation for what that has replaced. A ref of an unfinished
// generation, which nobody was promised, needs no witness.
// The manifest of a generation goes last here, since without it the shards would pass for
// unfinished ones.
// Two coordinators that delete at once do not see each other's reasons: a second one is refused for
// a while. Deleted refs lie in trash/ for the collector's grace period.
// Threads: the worker's executor.
#pragma once

#include <string>

#include "transfer/worker_messages.h"
#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> delete_ref(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder);

// The coordinator of `coordinator=`, which deletes here. Fails: invalid; conflict (another one did,
// a short while ago).
Result<std::string> deleting_coordinator(Holdings const& holdings, HttpRequest const& request);
void note_deletion(Holdings& holdings, std::string coordinator);

// Whether a worker with this inventory (of the ref's identity) makes `ref` superfluous.
// Pure. Fails: conflict, saying what it lacks.
Result<void> prove_by_inventory(Ref const& ref, InventoryPage const& inventory);

}  // namespace grove
