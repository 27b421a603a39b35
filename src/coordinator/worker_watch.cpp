#include "coordinator/worker_watch.h"

#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "net/parallel.h"

namespace grove {
namespace {

// A look pins nothing.
std::string const no_job;

}  // namespace

WorkerWatch::WorkerWatch(std::filesystem::path config_path, Services& services)
    : config_path_(std::move(config_path)), services_(services), tasks_(services.executor) {
  services_.presences.on_change = [this](Rank rank, Presences::State const& before,
                                         Presences::State const& now) { tell(rank, before, now); };
}

void WorkerWatch::start() {
  tasks_.spawn("watch the workers", run());
}

Awaitable<void> WorkerWatch::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

Awaitable<void> WorkerWatch::run() {
  for (;;) {
    auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
    // What is wrong with it every request is told.
    if (config.has_value()) co_await look(config.value());
    auto const pause =
        services_.presences.is_any_late() ? limits::watch_again_after : limits::watch_period;
    bool const rested = co_await sleep_for(pause);
    if (!rested) co_return;
  }
}

Awaitable<void> WorkerWatch::look(Config const& config) {
  std::vector<Rank> ranks;
  hosts_.clear();
  std::vector<Awaitable<void>> looks;
  for (auto const& worker : config.workers) {
    ranks.push_back(worker.rank);
    hosts_[worker.rank] = worker.host;
    looks.push_back(look_at(worker));
  }
  services_.presences.keep_only(ranks);
  co_await run_all(std::move(looks));
}

Awaitable<void> WorkerWatch::look_at(DeviceConfig const& worker) {
  auto const health = co_await ask(worker);
  bool const stopped = co_await is_cancelled();
  if (stopped) co_return;
  bool has_room = true;
  std::string detail;
  if (health.has_error()) {
    detail = health.error().message;
  } else if (health.value().free_bytes <= health.value().reserved_bytes) {
    has_room = false;
    detail = fmt::format("{} MiB are free, and {} are to stay free",
                         health.value().free_bytes / limits::mib,
                         health.value().reserved_bytes / limits::mib);
  }
  services_.presences.note(worker.rank, health.has_value(), has_room, std::move(detail),
                           Presences::Clock::now());
}

// Where it was last found, then where the config has it.
Awaitable<Result<WorkerHealth>> WorkerWatch::ask(DeviceConfig const& worker) {
  auto const moved = services_.neighbours.moved.find(worker.rank);
  if (moved != services_.neighbours.moved.end()) {
    auto there = worker;
    there.ip = moved->second.ip;
    there.port = moved->second.port;
    WorkerClient client(services_.http, address_of(there), no_job);
    auto health = co_await client.health(services_.coordinator_id);
    if (health.has_value()) co_return health;
  }
  WorkerClient client(services_.http, address_of(worker), no_job);
  co_return co_await client.health(services_.coordinator_id);
}

void WorkerWatch::tell(Rank rank, Presences::State const& before, Presences::State const& now) {
  auto const& host = hosts_[rank];
  services_.metrics.add(Count::worker_changes,
                        {fmt::to_string(rank.value), std::string(to_string(now.presence))});
  switch (now.presence) {
    case Presence::up:
      if (before.presence != Presence::late) {
        spdlog::info(
            "rank {} ({}) is up again, after {} s", rank.value, host,
            std::chrono::duration_cast<std::chrono::seconds>(now.since - before.since).count());
      }
      return;
    case Presence::late:
      spdlog::info("rank {} ({}) is late: {}", rank.value, host, now.detail);
      return;
    case Presence::down:
      spdlog::warn("rank {} ({}) is down: {}", rank.value, host, now.detail);
      return;
    case Presence::full:
      spdlog::warn("rank {} ({}) is full: {}; free some space or lower reserve", rank.value, host,
                   now.detail);
      return;
  }
}

}  // namespace grove
