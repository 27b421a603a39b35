// One worker: its folder, its HTTP server and its upkeep, from open to stop.
// Threads: everything on the executor it is given, which must run one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/config.h"
#include "base/error.h"
#include "net/http_server.h"
#include "net/task_group.h"
#include "store/data_folder.h"
#include "worker/holdings.h"

namespace grove {

struct WorkerOptions {
  Config config;
  Rank rank;
  std::filesystem::path data;
  EmptyFolder empty = EmptyFolder::refuse;
  std::string listen_address = "0.0.0.0";
  std::uint16_t port_override = 0;  // 0: the config's port
  // Called when what was written can no longer be trusted; the process must end with an error
  // status and be started again. None: the worker does so itself.
  FatalHandler on_fatal;
};

class Worker {
 public:
  // Opens the data folder. Blocking.
  // Fails: invalid (no such rank; another worker's folder), conflict (in use by another process).
  static Result<std::unique_ptr<Worker>> open(asio::any_io_executor executor,
                                              WorkerOptions options);
  ~Worker();

  // Begins to serve and to look after its folder. Fails: conflict (the port is in use), invalid.
  Result<void> start();
  std::uint16_t port() const;  // after start()
  std::string const& id() const;
  // Lets running calls end for a while, then cuts them. Must be called after start().
  Awaitable<void> stop();

 private:
  Worker(std::unique_ptr<Holdings> holdings, HttpServerOptions options);

  std::unique_ptr<Holdings> holdings_;
  TaskGroup tasks_;
  HttpServer server_;
};

}  // namespace grove
