// Looks after the workers all the time: asks each for its health every few seconds, and tells of
// every change, as a line in the log and in the metrics. One that is gone is noticed within
// limits::watch_period + 2 × limits::health_timeout + limits::watch_again_after, all being well
// with the others: a look lasts until the slowest has answered. One that may be in either of two
// places is asked in both at once. Not here: what follows from it
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
  // Of the workers that the file at config.source names, read afresh each time; the counts of those
  // that `config` names begin at once. `services` must outlive it.
  WorkerWatch(Config const& config, Services& services);

  void start();
  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  Awaitable<void> run();
  Awaitable<void> look(Config const& config);
  Awaitable<void> look_at(DeviceConfig const& worker);
  Awaitable<Result<WorkerHealth>> ask(DeviceConfig const& worker);
  Awaitable<void> ask_there(WorkerAddress there, Result<WorkerHealth>& answer, TaskGroup& all);
  // So that there is a 0 before the first event.
  void begin_counts(Config const& config);
  void tell(Rank rank, Presences::State const& before, Presences::State const& now);

  std::filesystem::path config_path_;
  Services& services_;
  std::map<Rank, std::string> hosts_;  // of the config, as last read
  TaskGroup tasks_;
};

}  // namespace grove
