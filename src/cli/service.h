// A process in the foreground that runs until it is told to stop: SIGTERM and Ctrl-C end it
// cleanly, a second one at once.
// Threads: main; runs the event loop in the calling thread.
#pragma once

#include <functional>

#include "base/error.h"
#include "net/asio.h"

namespace grove {

// Calls `start` on a running event loop, then waits for a signal, then awaits `stop`.
// Returns the process's exit status: 0 after a clean stop, 1 when `start` failed (its message has
// been logged then).
int run_service(asio::io_context& io, std::function<Result<void>()> start,
                std::function<Awaitable<void>()> stop);

// Logs go to stderr, one line each; under journald without a time stamp of our own.
void set_up_logs();

}  // namespace grove
