// error_code → Error, for everything that goes over a socket.
// Threads: pure functions.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "net/asio.h"

namespace grove {

// "<where>: connection refused". A deadline says "no answer within 4 s". unavailable for what time
// may mend, cancelled for a cancellation, internal for bytes that are not HTTP.
Error network_error(error_code error, std::string_view where, std::chrono::milliseconds timeout);

}  // namespace grove
