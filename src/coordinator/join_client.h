// The joining side: which coordinators wait on this network, and what one of them grants.
// Threads: the event loop that it is used on.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "coordinator/join_messages.h"
#include "net/asio.h"
#include "net/http_call.h"

namespace grove {

struct WaitingMaster {
  std::string host;  // as it says of itself
  Endpoint endpoint;
};

// Those that announce themselves within `timeout`, each once, at its best address, sorted by name.
// Fails: as Mdns::start and Mdns::browse.
Awaitable<Result<std::vector<WaitingMaster>>> find_masters(std::chrono::milliseconds timeout);

// Waits there until all workers have joined. `on_progress` is called whenever their number changes.
// Fails: unavailable (nobody takes joins there, or it went away), conflict (it has all it wants),
// cancelled.
Awaitable<Result<JoinGrant>> join_master(Endpoint master, JoinRequest request,
                                         std::function<void(JoinProgress const&)> on_progress);

}  // namespace grove
