#include "coordinator/repair.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "base/wall_clock.h"
#include "coordinator/moved_workers.h"

namespace grove {

// --- plan ---

Repair::Repair(std::filesystem::path config_path, Services& services, Jobs& jobs,
               Overview& overview)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      tasks_(services.executor) {}

WorkerState Repair::state_of(Config const& config, Member const& member) const {
  if (member.health) return WorkerState::there;
  auto const* watched = services_.presences.find(config.workers[member.worker_index].rank);
  bool const is_gone = watched != nullptr && watched->presence == Presence::down &&
                       Presences::Clock::now() - watched->since >= config.repair_after;
  return is_gone ? WorkerState::gone : WorkerState::away;
}

std::vector<RepairWorker> Repair::workers_of(Config const& config, ClusterView const& view) const {
  std::vector<RepairWorker> workers;
  for (auto const& member : view.members) {
    RepairWorker worker{
        .state = state_of(config, member), .away_since_ms = UINT64_MAX, .room_bytes = 0};
    auto const* watched = services_.presences.find(config.workers[member.worker_index].rank);
    if (!member.health && watched != nullptr && watched->presence == Presence::down) {
      auto const away = std::chrono::duration_cast<std::chrono::milliseconds>(
          Presences::Clock::now() - watched->since + limits::watch_period);
      worker.away_since_ms = static_cast<std::uint64_t>(wall_clock_ms() - away.count());
    }
    if (member.health && member.health->free_bytes > member.health->reserved_bytes) {
      worker.room_bytes = member.health->free_bytes - member.health->reserved_bytes;
    }
    workers.push_back(worker);
  }
  return workers;
}

Awaitable<Result<std::unique_ptr<RepairRound>>> Repair::make_round(Config config) {
  // One that has moved is there, and must not pass for gone.
  co_await follow_moved_workers(services_, config, LookUp::on_network, [](std::string) {});
  auto view = co_await survey(services_, config, std::nullopt);
  if (view.alive_count() == 0) {
    co_return fail(ErrorKind::unavailable, "no worker answers: {}", view.summary());
  }
  auto complete = co_await overview_.complete_generations(config, view.inventories, view.tombstones,
                                                          config.generations);
  std::erase_if(complete, [&](CompleteGeneration const& what) {
    return jobs_.is_storing(what.manifest->identity);
  });
  auto workers = workers_of(config, view);
  auto round = std::make_unique<RepairRound>(services_, jobs_, std::move(config), std::move(view));
  // Thousands of checkpoints are a second's work.
  co_await services_.offload.run([&] {
    for (auto& what : complete) round->add_plan(std::move(what), workers);
  });
  co_return round;
}

Awaitable<Result<std::string>> Repair::dry_run(Config config) {
  CO_TRY(auto const round, co_await make_round(std::move(config)));
  co_return round->text();
}

// --- carrying out ---

std::shared_ptr<Job> Repair::begin_job() {
  job_ = jobs_.add(JobKind::repair, "all checkpoints");
  job_->begin();
  tasks_.spawn("tell the progress of a repair", tell_progress(job_));
  return job_;
}

std::shared_ptr<Job> Repair::run_now(Config config) {
  if (job_ && !job_->is_finished()) return job_;
  auto job = begin_job();
  tasks_.spawn("repair as asked", run_as_asked(std::move(config), job));
  return job;
}

// Holds the job for as long as it runs.
Awaitable<void> Repair::tell_progress(std::shared_ptr<Job> job) {
  co_await job->report_progress();
}

Awaitable<void> Repair::run_as_asked(Config config, std::shared_ptr<Job> job) {
  auto round = co_await make_round(std::move(config));
  if (round.has_error()) {
    job->fail_with(round.error());
  } else {
    co_await round.value()->carry_out(std::move(job));
  }
}

// --- by itself ---

void Repair::start() {
  tasks_.spawn("repair by itself", repair_by_itself());
}

Awaitable<void> Repair::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

Awaitable<void> Repair::repair_by_itself() {
  auto pause = limits::repair_period;
  for (;;) {
    bool const rested = co_await sleep_for(pause);
    if (!rested) co_return;
    pause = limits::repair_period;
    if (job_ && !job_->is_finished()) continue;
    auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
    if (config.has_error()) continue;  // every request is told what is wrong with it
    auto view = co_await look(config.value());
    // Damage and disk space do not show in it.
    bool const is_old = Presences::Clock::now() - quiet_since_ >= limits::repair_again_after / 2;
    if (view == quiet_view_ && !is_old) continue;
    auto round = co_await make_round(std::move(config).value());
    if (round.has_error() || (job_ && !job_->is_finished())) continue;
    tell_short(round.value()->short_of());
    if (round.value()->is_empty()) {
      quiet_view_ = std::move(view);
      quiet_since_ = Presences::Clock::now();
      continue;
    }
    auto job = begin_job();
    co_await round.value()->carry_out(job);
    bool const is_whole = job->state() == JobState::done && round.value()->later_count() == 0;
    if (!is_whole) pause = limits::repair_again_after;
  }
}

// Once for as long as it stays so.
void Repair::tell_short(std::vector<std::string> const& identities) {
  for (auto const& identity : identities) {
    if (std::ranges::find(told_short_, identity) == told_short_.end()) {
      spdlog::warn("repair: {}", RepairRound::short_line(identity));
    }
  }
  told_short_ = identities;
}

// All that a plan depends on, briefly: who is there, with room, and what each holds.
Awaitable<std::string> Repair::look(Config const& config) {
  auto here = config;
  co_await follow_moved_workers(services_, here, LookUp::remembered, [](std::string) {});
  auto const members = co_await probe(services_, here);
  auto view = fmt::format("{} copies, {} generations", config.redundancy, config.generations);
  for (auto const& member : members) {
    auto const& health = member.health;
    bool const has_room = health && health->free_bytes > health->reserved_bytes;
    view += fmt::format("; {} {} {} {}", config.workers[member.worker_index].rank.value,
                        static_cast<int>(state_of(config, member)), has_room,
                        health ? health->inventory : std::string());
  }
  co_return view;
}

}  // namespace grove
