// One job's look-ups of workers that have moved: at its start, and again while it runs.
// Keeps the job's config up to date and says every find once.
// Not here: how a worker is found and when it is taken (coordinator/moved_workers.h).
// Threads: the coordinator's executor.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "net/asio.h"
#include "net/signal.h"

namespace grove {

class WorkerSearch {
 public:
  // `services` and `config`, whose addresses are corrected, must outlive the search.
  WorkerSearch(Services& services, Config& config, std::function<void(std::string)> on_line);

  // Asks all workers where the config has them and looks on the network for those that do not
  // answer. While one look-up is under way another call waits for that one.
  Awaitable<void> look();
  bool is_looking() const { return is_looking_; }

 private:
  Services& services_;
  Config& config_;
  std::function<void(std::string)> on_line_;
  bool is_looking_ = false;
  Signal over_;
  std::set<std::string> told_;
};

}  // namespace grove
