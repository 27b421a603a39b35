#include "coordinator/repair.h"

#include <algorithm>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "coordinator/moved_workers.h"
#include "coordinator/repair_workers.h"

namespace grove {

// --- plan ---

Repair::Repair(std::filesystem::path config_path, Services& services, Jobs& jobs,
               Overview& overview)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      tasks_(services.executor) {}

Awaitable<Result<std::unique_ptr<Repair::Round>>> Repair::make_round(Config config) {
  // One that has moved is there, and must not pass for gone.
  co_await follow_moved_workers(services_, config, LookUp::on_network, [](std::string) {});
  auto round = std::make_unique<Round>();
  round->config = std::move(config);
  round->view = co_await survey(services_, round->config, std::nullopt);
  if (round->view.alive_count() == 0) {
    co_return fail(ErrorKind::unavailable, "no worker answers: {}", round->view.summary());
  }
  auto complete = co_await overview_.complete_generations(round->config, round->view);
  std::erase_if(complete, [&](CompleteGeneration const& what) {
    return jobs_.is_storing(what.manifest->identity);
  });
  auto workers = repair_workers(services_, round->config, round->view.members);
  round->copies = std::make_unique<RepairRound>(services_, jobs_, round->config, round->view);
  // Thousands of checkpoints are a second's work.
  co_await services_.offload.run([&] {
    round->keeping =
        std::make_unique<KeepingRound>(services_, jobs_, round->config, round->view, complete);
    for (auto& what : complete) {
      // What goes anyway needs no more copies.
      if (!round->keeping->forgets(what.key, what.manifest->generation)) {
        round->copies->add_plan(std::move(what), workers);
      }
    }
  });
  co_return round;
}

Awaitable<Result<std::string>> Repair::dry_run(Config config) {
  CO_TRY(auto const round, co_await make_round(std::move(config)));
  co_return round->copies->text() + round->keeping->text();
}

// --- carrying out ---

std::shared_ptr<Job> Repair::begin_job(std::string what) {
  job_ = jobs_.add(JobKind::repair, std::move(what));
  tasks_.spawn("tell the progress of a repair", tell_progress(job_));
  return job_;
}

std::shared_ptr<Job> Repair::run_now(Config config) {
  if (job_ && !job_->is_finished()) return job_;
  auto job = begin_job("all checkpoints");
  tasks_.spawn("repair as asked", run_as_asked(std::move(config), job));
  return job;
}

// Holds the job for as long as it runs.
Awaitable<void> Repair::tell_progress(std::shared_ptr<Job> job) {
  co_await job->report_progress();
}

Awaitable<void> Repair::run_as_asked(Config config, std::shared_ptr<Job> job) {
  job->begin();
  auto round = co_await make_round(std::move(config));
  if (round.has_error()) {
    job->fail_with(round.error());
  } else {
    co_await carry_out(*round.value(), std::move(job));
  }
}

// To the end, which is the job's last line. What was forgotten first need not be copied.
Awaitable<void> Repair::carry_out(Round& round, std::shared_ptr<Job> job) {
  co_await round.keeping->carry_out(job);
  co_await round.copies->carry_out(job);
  bool const stopped = co_await is_cancelled();
  if (stopped) {
    job->fail_with(fail(ErrorKind::cancelled, "the coordinator is stopping"));
    co_return;
  }
  auto done = fmt::format("{} copies made, {} dropped", round.copies->made_count(),
                          round.copies->dropped_count());
  auto const forgotten = round.keeping->forgotten_count();
  if (forgotten > 0) done += fmt::format(", {} forgotten", forgotten);
  auto const failed = round.copies->failed_count() + round.keeping->failed_count();
  auto const short_count = round.copies->short_of().size();
  if (failed == 0 && short_count == 0) {
    job->finish("Done: " + done);
  } else {
    job->fail_with(fail(ErrorKind::unavailable,
                        "{}; {} steps failed, {} checkpoints stay short of copies", done, failed,
                        short_count));
  }
}

// --- emptying a worker ---

std::shared_ptr<Job> Repair::drain(Config config, Rank rank) {
  auto before = job_;
  auto job = begin_job(fmt::format("rank {}", rank.value));
  tasks_.spawn("empty a worker", run_drain(std::move(config), rank, std::move(before), job));
  return job;
}

Awaitable<void> Repair::run_drain(Config config, Rank rank, std::shared_ptr<Job> before,
                                  std::shared_ptr<Job> job) {
  if (before && !before->is_finished()) {
    job->add_line("  waiting for the running repair of " + before->identity());
    std::ignore = co_await before->wait_finished();  // cancelled: so is what follows
  }
  job->begin();
  auto done = co_await empty(std::move(config), rank, job);
  if (done.has_value()) {
    job->finish("Done: " + done.value());
  } else {
    job->fail_with(done.error());
  }
}

Awaitable<Result<std::string>> Repair::empty(Config config, Rank rank, std::shared_ptr<Job> job) {
  co_await follow_moved_workers(services_, config, LookUp::on_network, [](std::string) {});
  auto const index = static_cast<std::size_t>(find_worker(config, rank) - config.workers.data());
  auto const name = fmt::format("rank {} ({})", rank.value, config.workers[index].host);
  WorkerClient worker(services_.http, address_of(config.workers[index]), {});
  CO_TRY(co_await worker.health());
  CO_TRY(co_await worker.put_drain(true));
  job->add_line("  " + name + " is to be emptied: nothing more is put there");
  std::size_t moved_count = 0;
  for (;;) {
    CO_TRY(auto const round, co_await make_round(config));
    // Nothing to copy: what it still holds others have, and it may drop it or not.
    bool const is_needed = round->copies->needs(index);
    if (!is_needed) break;
    co_await round->copies->carry_out(job);
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "the coordinator is stopping");
    moved_count += round->copies->made_count();
    if (round->copies->made_count() > 0) continue;
    if (round->copies->later_count() > 0) {  // what is being stored just now
      bool const rested = co_await sleep_for(limits::repair_period);
      if (rested) continue;
    }
    co_return fail(ErrorKind::unavailable,
                   "{} still holds what no other worker can take: make room on others, or add one; "
                   "it stays to be emptied (grove drain --undo ends that)",
                   name);
  }
  co_return fmt::format("{} may be taken away: others have all that it held ({} copies were made)",
                        name, moved_count);
}

// --- by itself ---

void Repair::start() {
  tasks_.spawn("repair by itself", repair_by_itself());
}

Awaitable<void> Repair::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

Awaitable<void> Repair::repair_by_itself() {
  for (;;) {
    bool const rested = co_await sleep_for(limits::repair_period);
    if (!rested) co_return;
    if (job_ && !job_->is_finished()) continue;
    auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
    if (config.has_error()) continue;  // every request is told what is wrong with it
    auto view = co_await look(config.value());
    if (view == settled_view_ && Presences::Clock::now() < settled_until_) continue;
    auto round = co_await make_round(std::move(config).value());
    if (round.has_error() || (job_ && !job_->is_finished())) continue;
    tell_short(round.value()->copies->short_of());
    if (round.value()->is_empty()) {
      // Damage and disk space do not show in the view.
      settled_view_ = std::move(view);
      settled_until_ = Presences::Clock::now() + limits::repair_again_after / 2;
      continue;
    }
    auto job = begin_job("all checkpoints");
    job->begin();
    co_await carry_out(*round.value(), job);
    bool const is_whole = job->state() == JobState::done && round.value()->later_count() == 0;
    if (is_whole) {
      again_after_ = limits::repair_period;
      continue;
    }
    // Soon at first: whoever was killed meanwhile may be back, and looks as before.
    settled_view_ = std::move(view);
    settled_until_ = Presences::Clock::now() + again_after_;
    again_after_ =
        std::min<std::chrono::milliseconds>(2 * again_after_, limits::repair_again_after);
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

// All that a plan depends on, briefly: the config, who is there, with room, and what each holds.
Awaitable<std::string> Repair::look(Config const& config) {
  auto here = config;
  co_await follow_moved_workers(services_, here, LookUp::remembered, [](std::string) {});
  auto const members = co_await probe(services_, here);
  auto view = fmt::format("{} copies, {} generations, keep {} and every {}", config.redundancy,
                          config.generations, config.retention.keep_last.value_or(0),
                          config.retention.keep_every.value_or(0));
  for (auto const& member : members) {
    auto const& health = member.health;
    bool const has_room = health && health->free_bytes > health->reserved_bytes;
    view += fmt::format("; {} {} {} {} {}", config.workers[member.worker_index].rank.value,
                        static_cast<int>(state_of(services_, config, member)), has_room,
                        health && health->is_draining, health ? health->inventory : std::string());
  }
  co_return view;
}

}  // namespace grove
