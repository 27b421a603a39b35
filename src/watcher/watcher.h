// Stores checkpoints by itself: watches ckpt_root and has every new or changed file stored when it
// has come to rest and is complete. A client of the coordinator's HTTP API and nothing else, so it
// runs in any process on the machine where the files are, and beside direct calls.
// Described for users in docs/operations.md#watcher.
// Threads: the executor it is given.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "net/asio.h"
#include "net/http_call.h"

namespace grove {

struct WatcherOptions {
  std::filesystem::path config_path;    // read afresh before each round
  std::vector<std::string> extensions;  // as parse_extensions gives them
  Endpoint api;
};

class Watcher {
 public:
  // `metrics`, of a watcher's role at least, must outlive it.
  Watcher(asio::any_io_executor executor, WatcherOptions options, Metrics& metrics);
  // Once started, it must have been stopped.
  ~Watcher();

  void start();
  // A store that runs at the coordinator is not ended by it.
  Awaitable<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grove
