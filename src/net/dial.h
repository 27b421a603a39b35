// host and port → an open connection, in bounded time.
// Threads: the given executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "net/connection.h"

namespace grove {

struct Dialled {
  error_code error;
  std::unique_ptr<Connection> connection;  // where there is no error
};

// `host` is an address or a name; of several addresses the first that answers is taken.
Awaitable<Dialled> dial(asio::any_io_executor executor, std::string host, std::uint16_t port,
                        std::chrono::milliseconds timeout);

}  // namespace grove
