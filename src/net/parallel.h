// Runs several coroutines side by side and waits for all of them: structured concurrency inside one
// task. Cancelling the caller cancels each of them, and run_all still waits for their ends, so they
// may hold references into the caller's frame.
// Threads: all on the caller's executor.
#pragma once

#include <vector>

#include "net/asio.h"

namespace grove {

Awaitable<void> run_all(std::vector<Awaitable<void>> tasks);

}  // namespace grove
