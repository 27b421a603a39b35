// What a worker's disk holds, measured when somebody looks: space, refs, damage, quarantine.
// Not here: what is counted as it happens (chunk_calls, pull_call, upkeep).
// Threads: the worker's executor; the disk is read on the pool.
#pragma once

#include "worker/holdings.h"

namespace grove {

// Brings the levels of `holdings.metrics` up to date. What cannot be read keeps its last value.
Awaitable<void> measure_disk(Holdings& holdings);

}  // namespace grove
