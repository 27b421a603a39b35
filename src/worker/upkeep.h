// What a worker does by itself and when: collection of what nothing names any more, the end of
// leases. Also what /gc and /scrub do when asked. Pacing and order live here; what is swept or read
// in store/.
// Threads: the worker's executor; the work is offloaded, one sweep at a time, one
// scrub that is waited for and one that is paced.
#pragma once

#include "store/scrubber.h"
#include "worker/holdings.h"

namespace grove {

// Waits for a running one to end first. Fails: as the collector or scrubber; cancelled.
Awaitable<Result<SweepReport>> sweep_once(Holdings& holdings);
// What a job that failed for good had brought in, at once. Fails: as Collector::release.
Awaitable<Result<SweepReport>> release_once(Holdings& holdings, std::string job);
// `keep_going` and `is_wanted` are asked on a pool thread; the first may wait there.
Awaitable<Result<ScrubReport>> scrub_once(Holdings& holdings, ScrubScope scope,
                                          ScrubGate keep_going, ScrubWanted is_wanted);

// Tasks that run until they are cancelled.
Awaitable<void> collect_periodically(Holdings& holdings);
Awaitable<void> expire_leases(Holdings& holdings);

}  // namespace grove
