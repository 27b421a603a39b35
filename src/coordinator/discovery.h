// Which workers live on this network, whatever config.yaml says: multicast DNS names them, and each
// is believed only once it has answered /health itself. A worker on several interfaces and in both
// address families is one row, at the address that others can use best.
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/members.h"
#include "net/asio.h"
#include "net/mdns.h"
#include "transfer/announcement.h"

namespace grove {

struct FoundWorker {
  std::string ip;  // IPv6 link-local ones with their scope
  std::uint16_t port = 0;
  Rank rank;
  std::string host;
  std::string id;
};

// How long a scan may take, in seconds.
inline constexpr std::chrono::duration<double> discovery_timeout_default{10.0};
inline constexpr std::chrono::duration<double> discovery_timeout_min{0.1};
inline constexpr std::chrono::duration<double> discovery_timeout_max{300.0};

// "2.5" → seconds. Fails: invalid (not a number, or outside the range above).
Result<std::chrono::duration<double>> parse_discovery_timeout(std::string_view text);

struct ScanOptions {
  std::chrono::milliseconds timeout;
  // Asked after each find; true ends the scan `settle` later, so that better addresses of what was
  // found, and others, can still come in.
  std::function<bool(std::vector<FoundWorker> const&)> is_enough;
  std::chrono::milliseconds settle{0};
  // Who claims to be one of these is asked before all others.
  std::function<bool(WorkerAnnouncement const&)> is_looked_for;
};

// A worker that announced itself but does not answer in time is left out. Sorted by rank, then id.
// Fails: as Mdns::browse.
Awaitable<Result<std::vector<FoundWorker>>> find_workers(Services& services, Mdns& mdns,
                                                         ScanOptions options);

// The scan behind GET /discover: ends early once every worker of the config was found and has then
// answered a second time, so that one which is just going down is not in the answer.
Awaitable<Result<std::vector<FoundWorker>>> discover(Services& services, Mdns& mdns,
                                                     Config const& config,
                                                     std::chrono::milliseconds timeout);

// {"workers": [{"ip", "port", "rank", "hostname"}, …]}, the reference's fields in its order.
std::string serialize_workers(std::vector<FoundWorker> const& workers);

// Whether `a` is of more use to other machines than `b`: IPv4 before IPv6, wider scopes first, the
// loopback last.
bool is_better_address(asio::ip::address const& a, asio::ip::address const& b);

}  // namespace grove
