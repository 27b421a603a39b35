// Addresses in config.yaml are hints: DHCP deals them anew. A worker that does not answer at its
// address as its rank is looked for by mDNS before a job gives it up.
// Only the worker that has the rank and the name of the config is taken, and only where it is the
// only one that announces itself within limits::discovery_settle of the first: a network may have a
// second cluster. Addresses on the loopback are not looked up:
// nothing there moves, and whoever announces the same name on the network is somebody else.
// Threads: the coordinator's executor.
#pragma once

#include <functional>
#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "net/asio.h"

namespace grove {

enum class LookUp {
  remembered,  // only where a look-up found the worker before: for views, which are asked for often
  on_network,  // for jobs: up to limits::moved_worker_timeout, less where all are found
};

// Asks every worker of `config` at its address; of those that do not answer there as their rank,
// puts the address where they do into `config`, and a line for people into `on_line` for each.
Awaitable<void> follow_moved_workers(Services& services, Config& config, LookUp look_up,
                                     std::function<void(std::string)> on_line);

}  // namespace grove
