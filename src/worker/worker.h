// One worker: its folder, its HTTP server and its upkeep, from open to stop.
// Threads: everything on the executor it is given, which must run one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "net/http_server.h"
#include "net/mdns.h"
#include "net/task_group.h"
#include "worker/holdings.h"

namespace grove {

class Worker {
 public:
  // Opens the data folder. Blocking.
  // Fails: invalid (no such rank; another worker's folder), conflict (in use by another process).
  static Result<std::unique_ptr<Worker>> open(asio::any_io_executor executor,
                                              WorkerOptions options);
  ~Worker();

  // Begins to serve, to look after its folder and, where asked for, to announce itself by mDNS
  // (where that is not possible it is said in the log and the worker serves all the same). Fails:
  // conflict (the port is in use), invalid.
  Result<void> start();
  std::uint16_t port() const;  // after start()
  std::string const& id() const;
  // Lets running calls end for a while, then cuts them. Must be called after start().
  Awaitable<void> stop();

 private:
  Worker(std::unique_ptr<Holdings> holdings, HttpServerOptions options, bool is_announced);

  Result<void> announce();

  HttpRouter routes();

  std::unique_ptr<Holdings> holdings_;
  TaskGroup tasks_;
  HttpServer server_;
  bool is_announced_;
  std::unique_ptr<Mdns> mdns_;
};

}  // namespace grove
