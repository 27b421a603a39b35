// Waits for a descriptor that is somebody else's, such as inotify's, beside the event loop.
// Threads: the caller's executor.
#pragma once

#include <chrono>

#include "net/asio.h"

namespace grove {

// True when `fd` can be read; false at the deadline, when cancelled, and for a descriptor that
// cannot be waited for. It stays the caller's and open meanwhile.
Awaitable<bool> wait_readable(int fd, std::chrono::steady_clock::time_point deadline);

}  // namespace grove
