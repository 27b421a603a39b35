#include "coordinator/worker_watch.h"

#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "net/parallel.h"

namespace grove {

WorkerWatch::WorkerWatch(Config const& config, Services& services)
    : config_path_(config.source), services_(services), tasks_(services.executor) {
  begin_counts(config);
  services_.presences.on_change = [this](Rank rank, Presences::State const& before,
                                         Presences::State const& now) { tell(rank, before, now); };
}

void WorkerWatch::start() {
  tasks_.spawn("watch the workers", run());
}

Awaitable<void> WorkerWatch::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

void WorkerWatch::begin_counts(Config const& config) {
  for (auto const& worker : config.workers) {
    auto const rank = fmt::to_string(worker.rank.value);
    for (auto const presence : {Presence::up, Presence::late, Presence::down, Presence::full}) {
      services_.metrics.add(Count::worker_changes, {rank, std::string(to_string(presence))}, 0);
    }
    services_.metrics.add(Count::transfer_errors, {rank}, 0);
    services_.metrics.add(Count::damage_met, {rank}, 0);
  }
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
  begin_counts(config);
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

// Where it was last found, and where the config has it: the first that answers counts.
Awaitable<Result<WorkerHealth>> WorkerWatch::ask(DeviceConfig const& worker) {
  std::vector<WorkerAddress> places{address_of(worker)};
  auto const moved = services_.neighbours.moved.find(worker.rank);
  if (moved != services_.neighbours.moved.end()) {
    auto there = worker;
    there.ip = moved->second.ip;
    there.port = moved->second.port;
    places.push_back(address_of(there));
  }
  std::vector<Result<WorkerHealth>> answers(places.size(), fail(ErrorKind::cancelled, "not asked"));
  TaskGroup all(services_.executor);
  for (std::size_t place = 0; place < places.size(); ++place) {
    all.spawn("ask a worker", ask_there(std::move(places[place]), answers[place], all));
  }
  co_await all.wait();
  for (auto const& answer : answers) {
    if (answer.has_value()) co_return answer;
  }
  co_return answers.front();
}

Awaitable<void> WorkerWatch::ask_there(WorkerAddress there, Result<WorkerHealth>& answer,
                                       TaskGroup& all) {
  WorkerClient client(services_.http, std::move(there));
  answer = co_await client.health(services_.coordinator_id);
  if (answer.has_value()) all.cancel();
}

void WorkerWatch::tell(Rank rank, Presences::State const& before, Presences::State const& now) {
  services_.metrics.add(Count::worker_changes,
                        {fmt::to_string(rank.value), std::string(to_string(now.presence))});
  bool const is_bad = now.presence == Presence::down || now.presence == Presence::full;
  spdlog::log(is_bad ? spdlog::level::warn : spdlog::level::info, "rank {} ({}) {}", rank.value,
              hosts_[rank], words_of_change(before, now));
}

}  // namespace grove
