// DELETE /refs: the one call that can lose something, so it is the one that asks back. The caller
// says why the ref may go, and every witness it names must prove that by reading: that it holds the
// very same ref, whole (a surplus copy), or what it is said to hold of a newer generation, which
// has replaced the old one, whatever it has of that. A ref of an unfinished generation, which
// nobody was promised, needs no witness.
// The manifest of a generation goes last here, since without it the shards would pass for
// unfinished ones.
// Two coordinators that delete at once do not see each other's reasons: each worker serves one, as
// the one that deletes and as a witness, and refuses a second one for a while. Deleted refs lie in
// trash/ for the collector's grace period.
// Threads: the worker's executor.
#pragma once

#include <span>
#include <string>

#include "transfer/worker_messages.h"
#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> delete_ref(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder);

// Takes this worker for the deletions of `coordinator=`, for as long as it goes on and ten minutes
// beyond. Fails: invalid; conflict (it is taken for another one).
Result<std::string> claim_deletions(Holdings& holdings, HttpRequest const& request);

// Whether what a witness has, as it has just read it, makes `ref` superfluous: the same, or all
// that it `holds` of `newer`. Pure. Fails: conflict, saying what it lacks.
Result<void> prove(Ref const& ref, std::optional<Generation> newer, std::span<RefName const> holds,
                   std::span<RefReport const> has);

}  // namespace grove
