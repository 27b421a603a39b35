#include "coordinator/moved_workers.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "coordinator/discovery.h"
#include "coordinator/job_lines.h"
#include "net/parallel.h"

namespace grove {
namespace {

struct Absence {
  std::size_t worker_index = 0;
  Error error;
};

Awaitable<void> ask(Services& services, Config const& config, std::size_t index,
                    std::vector<Absence>& absent) {
  WorkerClient worker(services.http, address_of(config.workers[index]));
  auto const health = co_await worker.health();
  if (health.has_error()) absent.push_back({.worker_index = index, .error = health.error()});
}

Awaitable<std::vector<Absence>> find_absent(Services& services, Config const& config) {
  std::vector<Absence> absent;
  std::vector<Awaitable<void>> calls;
  for (std::size_t index = 0; index < config.workers.size(); ++index) {
    calls.push_back(ask(services, config, index, absent));
  }
  co_await run_all(std::move(calls));
  std::sort(absent.begin(), absent.end(),
            [](Absence const& a, Absence const& b) { return a.worker_index < b.worker_index; });
  co_return absent;
}

bool is_on_loopback(DeviceConfig const& device) {
  if (device.ip == "localhost") return true;
  error_code error;
  auto const address = asio::ip::make_address(device.ip, error);
  return !error && address.is_loopback();
}

// Those that answer where the config has them are not elsewhere any more.
void forget_the_returned(Services& services, Config const& config,
                         std::vector<Absence> const& absent) {
  std::erase_if(services.neighbours.moved, [&](auto const& entry) {
    auto const* const device = find_worker(config, entry.first);
    if (device == nullptr) return true;
    bool const is_there = device->ip == entry.second.ip && device->port == entry.second.port;
    bool const answers = std::none_of(absent.begin(), absent.end(), [&](Absence const& a) {
      return &config.workers[a.worker_index] == device;
    });
    return answers && !is_there;
  });
}

std::vector<FoundWorker const*> matches(DeviceConfig const& device,
                                        std::vector<FoundWorker> const& found) {
  std::vector<FoundWorker const*> all;
  for (auto const& worker : found) {
    if (worker.rank == device.rank && worker.host == device.host) all.push_back(&worker);
  }
  return all;
}

void tell_trouble(Services& services, Error const& trouble) {
  if (!services.neighbours.is_news(trouble.message)) return;
  spdlog::warn("cannot look for workers that moved: {}", trouble.message);
}

Awaitable<void> ask_remembered(Services& services, DeviceConfig device,
                               std::vector<FoundWorker>& there) {
  WorkerClient client(services.http, address_of(device));
  auto const health = co_await client.health();
  if (health.has_error() || health.value().host != device.host) co_return;
  there.push_back({.ip = device.ip,
                   .port = device.port,
                   .rank = device.rank,
                   .host = device.host,
                   .id = health.value().id});
}

// What earlier look-ups found, where it still holds.
Awaitable<std::vector<FoundWorker>> ask_remembered(Services& services, Config const& config,
                                                   std::vector<Absence> const& absent) {
  std::vector<FoundWorker> there;
  std::vector<Awaitable<void>> calls;
  for (auto const& absence : absent) {
    auto device = config.workers[absence.worker_index];
    auto const known = services.neighbours.moved.find(device.rank);
    if (known == services.neighbours.moved.end()) continue;
    device.ip = known->second.ip;
    device.port = known->second.port;
    calls.push_back(ask_remembered(services, std::move(device), there));
  }
  co_await run_all(std::move(calls));
  co_return there;
}

Awaitable<std::vector<FoundWorker>> scan_for(Services& services, Config const& config,
                                             std::vector<Absence> const& absent) {
  auto mdns = services.neighbours.mdns();
  if (mdns.has_error()) {
    tell_trouble(services, mdns.error());
    co_return std::vector<FoundWorker>();
  }
  ScanOptions options;
  options.timeout = limits::moved_worker_timeout;
  options.settle = limits::discovery_settle;
  options.is_enough = [&](std::vector<FoundWorker> const& found) {
    return std::all_of(absent.begin(), absent.end(), [&](Absence const& absence) {
      return !matches(config.workers[absence.worker_index], found).empty();
    });
  };
  options.is_looked_for = [&](WorkerAnnouncement const& announced) {
    return std::any_of(absent.begin(), absent.end(), [&](Absence const& absence) {
      auto const& device = config.workers[absence.worker_index];
      return device.rank == announced.rank && device.host == announced.host;
    });
  };
  auto found = co_await find_workers(services, *mdns.value(), std::move(options));
  if (found.has_error()) {
    if (found.error().kind != ErrorKind::cancelled) tell_trouble(services, found.error());
    co_return std::vector<FoundWorker>();
  }
  co_return std::move(found).value();
}

}  // namespace

Awaitable<void> follow_moved_workers(Services& services, Config& config, LookUp look_up,
                                     std::function<void(std::string)> on_line) {
  if (look_up == LookUp::remembered && services.neighbours.moved.empty()) co_return;
  auto absent = co_await find_absent(services, config);
  forget_the_returned(services, config, absent);
  std::erase_if(absent, [&](Absence const& absence) {
    return is_on_loopback(config.workers[absence.worker_index]);
  });
  if (absent.empty()) co_return;
  auto found = co_await ask_remembered(services, config, absent);
  if (found.size() < absent.size() && look_up == LookUp::on_network) {
    found = co_await scan_for(services, config, absent);
  }
  for (auto const& absence : absent) {
    auto& device = config.workers[absence.worker_index];
    auto const candidates = matches(device, found);
    if (candidates.empty()) continue;
    if (candidates.size() > 1) {
      on_line(lines::worker_ambiguous(device.rank, device.host, candidates.size()));
      continue;
    }
    auto const& worker = *candidates.front();
    if (worker.ip == device.ip && worker.port == device.port) continue;  // it is back
    on_line(lines::worker_moved(device.rank, absence.error.message, worker.ip, worker.port));
    services.neighbours.moved[device.rank] = {.ip = worker.ip, .port = worker.port};
    device.ip = worker.ip;
    device.port = worker.port;
  }
}

}  // namespace grove
