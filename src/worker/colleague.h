// Another worker that a request tells this one to ask: to pull from it, or as a witness. An address
// in a request is only a hint; whom it reaches is checked.
// Threads: the worker's executor.
#pragma once

#include "transfer/worker_client.h"
#include "worker/holdings.h"

namespace grove {

// A colleague is a worker of the config, named by its id, and not this one.
// Fails: invalid.
Awaitable<Result<void>> check_colleague(Holdings& holdings, WorkerAddress address);

// Asks who is there. Fails: conflict (another rank or id than expected answers), or as the call.
Awaitable<Result<void>> check_answers(WorkerClient& colleague);

}  // namespace grove
