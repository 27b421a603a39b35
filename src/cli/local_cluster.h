// A whole cluster on this machine: workers as child processes, with a config and data of their own
// in one folder, never touching the user's config. What `grove start --local N` runs.
//
//   <folder>/config.yaml   made the first time, then used as it is
//   <folder>/worker_R      data of rank R
//
// Children end with their parent, and are started again with back-off when they end by themselves.
// Threads: the event loop; prepare_local_cluster blocks and is called before it runs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/task_group.h"

namespace grove {

// $XDG_DATA_HOME/grove, else ~/.local/share/grove.
std::filesystem::path default_data_folder();

struct LocalLayout {
  std::filesystem::path folder;
  std::filesystem::path config_path;
  std::vector<Rank> ranks;
  bool is_announced = true;  // the workers, by mDNS
};

// Makes the folder and, where it is missing, the config: free ports from 5001 on, ckpt_root as
// given or ~/checkpoints (which is made).
// Fails: conflict when the config that is there has another number of workers.
Result<LocalLayout> prepare_local_cluster(std::filesystem::path const& folder,
                                          std::uint32_t workers_count,
                                          std::optional<std::filesystem::path> const& ckpt_root);

class LocalCluster {
 public:
  LocalCluster(asio::any_io_executor executor, LocalLayout layout);
  ~LocalCluster();

  Result<void> start();
  // SIGTERM to each, and SIGKILL to those that do not end within shutdown_grace.
  Awaitable<void> stop();

 private:
  struct Child {
    Rank rank;
    pid_t pid = 0;  // 0: not running
  };

  Result<void> launch(Child& child);
  Awaitable<void> keep_running(Child& child);

  LocalLayout layout_;
  std::vector<Child> children_;
  TaskGroup tasks_;
  bool is_stopping_ = false;
};

}  // namespace grove
