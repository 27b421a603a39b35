// Looks after the workers all the time: asks each for its health every few seconds, and tells of
// every change, as a line in the log and in the metrics. One that is gone is noticed within
// limits::watch_period + 2 × limits::health_timeout + limits::watch_again_after, all being well
// with the others: a look lasts until the slowest has answered. Not here: what follows from it
// (coordinator/presence.h is who asks). Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

#include "coordinator/members.h"
#include "net/task_group.h"

namespace grove {

class WorkerWatch {
 public:
  // Of the workers that the config file names, read afresh each time. `services` must outlive it.
  WorkerWatch(std::filesystem::path config_path, Services& services);

  void start();
  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  Awaitable<void> run();
  Awaitable<void> look(Config const& config);
  Awaitable<void> look_at(DeviceConfig const& worker);
  Awaitable<Result<WorkerHealth>> ask(DeviceConfig const& worker);
  void tell(Rank rank, Presences::State const& before, Presences::State const& now);

  std::filesystem::path config_path_;
  Services& services_;
  std::map<Rank, std::string> hosts_;  // of the config, as last read
  TaskGroup tasks_;
};

}  // namespace grove
