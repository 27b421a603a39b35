// A task in the foreground that a person may give up with Ctrl-C.
// Threads: main; runs the event loop in the calling thread.
#pragma once

#include <string>

#include "net/asio.h"

namespace grove {

inline constexpr int interrupted_status = 130;  // 128 + SIGINT, as shells say it

// Runs `task` to its end; Ctrl-C or SIGTERM cancels it. False when it was given up.
bool run_interruptible(asio::io_context& io, std::string name, Awaitable<void> task);

}  // namespace grove
