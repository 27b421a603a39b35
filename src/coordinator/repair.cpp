#include "coordinator/repair.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "coordinator/moved_workers.h"
#include "coordinator/repair_workers.h"

namespace grove {
namespace {

// For a worker that is to be emptied and misses a look, and for manifests that nobody gives just
// now: three minutes with repair_period.
constexpr int drain_waits_max = 18;

// Complete generations, not forgotten, that are not among those whose manifests could be had.
std::set<std::string> unread(ClusterView const& view,
                             std::span<CompleteGeneration const> complete) {
  std::set<std::pair<CheckpointKey, Generation>> read;
  for (auto const& what : complete) read.emplace(what.key, what.manifest->generation);
  std::set<std::string> identities;
  for (auto const& inventory : view.inventories) {
    for (auto const& held : inventory.refs) {
      if (held.ref.name.shard) continue;
      if (read.contains({held.ref.key, held.ref.generation})) continue;
      if (view.has_forgotten(held.ref.key, held.ref.generation)) continue;
      identities.insert(held.ref.key.identity());
    }
  }
  return identities;
}

// Of a worker that is to be emptied: something that no plan knows of.
std::optional<std::string> held_and_passed_over(ClusterView const& view, std::size_t worker,
                                                std::set<std::string> const& passed_over) {
  for (auto const& inventory : view.inventories) {
    if (inventory.worker_index != worker) continue;
    for (auto const& held : inventory.refs) {
      if (passed_over.contains(held.ref.key.identity())) return held.ref.key.identity();
    }
  }
  return std::nullopt;
}

}  // namespace

// --- plan ---

RepairPace::TimePoint Repair::Round::end() const {
  auto const time = std::max<std::chrono::nanoseconds>(limits::repair_round_time,
                                                       limits::repair_round_looks * look_took);
  return RepairPace::Clock::now() + time;
}

Repair::Repair(std::filesystem::path config_path, Services& services, Jobs& jobs,
               Overview& overview)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      tasks_(services.executor) {}

Awaitable<Result<std::unique_ptr<Repair::Round>>> Repair::make_round(Config config) {
  auto const begun = RepairPace::Clock::now();
  // One that has moved is there, and must not pass for gone.
  co_await follow_moved_workers(services_, config, LookUp::on_network, [](std::string) {});
  auto round = std::make_unique<Round>();
  round->config = std::move(config);
  round->view = co_await survey(services_, round->config, std::nullopt);
  if (round->view.alive_count() == 0) {
    co_return fail(ErrorKind::unavailable, "no worker answers: {}", round->view.summary());
  }
  auto complete = co_await overview_.complete_generations(round->config, round->view);
  round->passed_over =
      co_await services_.offload.run([&] { return unread(round->view, complete); });
  std::erase_if(complete, [&](CompleteGeneration const& what) {
    bool const is_storing = jobs_.is_storing(what.manifest->identity);
    if (is_storing) round->passed_over.insert(what.manifest->identity);
    return is_storing;
  });
  auto workers = repair_workers(services_, round->config, round->view.members);
  auto const storing = jobs_.storing();
  auto const in_vain = joined_in_vain_;
  round->copies = std::make_unique<RepairRound>(services_, jobs_, round->config, round->view);
  // Thousands of checkpoints are a second's work.
  co_await services_.offload.run([&] {
    round->keeping = std::make_unique<KeepingRound>(services_, jobs_, round->config, round->view,
                                                    complete, storing);
    for (auto& what : complete) {
      // What goes anyway needs no more copies.
      if (!round->keeping->forgets(what.key, what.manifest->generation)) {
        round->copies->add_plan(std::move(what), workers, in_vain);
      }
    }
  });
  round->look_took = RepairPace::Clock::now() - begun;
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
    co_await heal(std::move(round).value(), std::move(job));
  }
}

// Copies are worth more than room. What is forgotten is not copied: the plan has left it out.
Awaitable<void> Repair::carry_out(Round& round, std::shared_ptr<Job> job) {
  co_await round.copies->carry_out(job, round.end());
  if (!round.copies->is_cut_short()) co_await round.keeping->carry_out(job);
}

// Round after round until one comes to its end, which is the job's last line. Returns that round;
// null where there could be none.
Awaitable<std::unique_ptr<Repair::Round>> Repair::heal(std::unique_ptr<Round> round,
                                                       std::shared_ptr<Job> job) {
  std::size_t made_count = 0;
  std::size_t dropped_count = 0;
  for (;;) {
    co_await carry_out(*round, job);
    joined_in_vain_.merge(std::set(round->copies->joined_in_vain()));
    made_count += round->copies->made_count();
    dropped_count += round->copies->dropped_count();
    bool const stopped = co_await is_cancelled();
    if (stopped) {
      job->fail_with(fail(ErrorKind::cancelled, "the coordinator is stopping"));
      co_return nullptr;
    }
    if (!round->copies->is_cut_short()) break;
    auto next = co_await make_round(round->config);
    if (next.has_error()) {
      job->fail_with(next.error());
      co_return nullptr;
    }
    round = std::move(next).value();
  }
  auto done = fmt::format("{} copies made, {} dropped", made_count, dropped_count);
  auto const forgotten = round->keeping->forgotten_count();
  if (forgotten > 0) done += fmt::format(", {} forgotten", forgotten);
  auto const failed = round->copies->failed_count() + round->keeping->failed_count();
  auto const& short_of = round->copies->short_of();
  std::size_t told_count = 0;
  for (auto const& identity : short_of) {
    if (++told_count > limits::repair_short_lines_max) break;
    job->add_line("  ✗ " + RepairRound::short_line(identity));
  }
  if (failed == 0 && short_of.empty()) {
    job->finish("Done: " + done);
  } else {
    job->fail_with(fail(ErrorKind::unavailable,
                        "{}; {} steps failed, {} checkpoints stay short of copies", done, failed,
                        short_of.size()));
  }
  co_return round;
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
  WorkerClient worker(services_.http, address_of(config.workers[index]));
  CO_TRY(co_await worker.health());
  CO_TRY(co_await worker.put_drain(true));
  job->add_line("  " + name + " is to be emptied: nothing more is put there");
  co_await wait_for_stores(job);
  std::size_t moved_count = 0;
  for (int waits_left = drain_waits_max;;) {
    CO_TRY(auto const round, co_await make_round(config));
    auto const& health = round->view.members[index].health;
    auto const unknown = held_and_passed_over(round->view, index, round->passed_over);
    bool const is_needed = round->copies->needs(index);
    // Nothing to copy: what it still holds others have, and it may drop it or not.
    if (health && health->is_draining && !unknown && !is_needed) break;
    if (is_needed) co_await round->copies->carry_out(job, round->end());
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "the coordinator is stopping");
    moved_count += round->copies->made_count();
    if (round->copies->made_count() > 0 || round->copies->is_cut_short()) {
      waits_left = drain_waits_max;
      continue;
    }
    bool const is_stored = unknown && jobs_.is_storing(*unknown);
    bool const may_change = !health || unknown || round->copies->later_count() > 0;
    if (is_stored || (may_change && waits_left-- > 0)) {
      co_await sleep_for(limits::repair_period);
      continue;
    }
    if (!health) co_return fail(ErrorKind::unavailable, "{} does not answer any more", name);
    co_return fail(ErrorKind::unavailable,
                   "{} still holds {}: {}; it stays to be emptied (grove drain --undo ends that)",
                   name, unknown.value_or("what no other worker can take"),
                   unknown ? "its manifest cannot be read now, see grove status"
                           : "make room on others, or add one");
  }
  co_return fmt::format("{} may be taken away: others have all that it held ({} copies were made)",
                        name, moved_count);
}

// They began before the worker was to be emptied, and may put more there.
Awaitable<void> Repair::wait_for_stores(std::shared_ptr<Job> job) {
  for (auto const& other : jobs_.recent()) {
    if (other->kind() != JobKind::store || other->is_finished()) continue;
    job->add_line("  waiting for the running store of " + other->identity());
    std::ignore = co_await other->wait_finished();  // cancelled: so is what follows
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
  for (;;) {
    bool const rested = co_await sleep_for(limits::repair_period);
    if (!rested) co_return;
    if (job_ && !job_->is_finished()) continue;
    auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
    if (config.has_error()) continue;  // every request is told what is wrong with it
    auto view = co_await look(config.value());
    if (view != joins_view_) joined_in_vain_.clear();
    joins_view_ = view;
    if (view == settled_view_ && Presences::Clock::now() < settled_until_) continue;
    auto round = co_await make_round(std::move(config).value());
    if (round.has_error() || (job_ && !job_->is_finished())) continue;
    tell_short(round.value()->copies->short_of());
    if (round.value()->is_empty()) {
      // What a disk has room for does not show in the view.
      settled_view_ = std::move(view);
      settled_until_ = Presences::Clock::now() + limits::repair_again_after / 2;
      continue;
    }
    auto job = begin_job("all checkpoints");
    job->begin();
    auto const last = co_await heal(std::move(round).value(), job);
    bool const is_whole = job->state() == JobState::done && last->later_count() == 0;
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
void Repair::tell_short(std::set<std::string> const& identities) {
  std::size_t news_count = 0;
  for (auto const& identity : identities) {
    if (told_short_.contains(identity) || ++news_count > limits::repair_short_lines_max) continue;
    spdlog::warn("repair: {}", RepairRound::short_line(identity));
  }
  if (news_count > limits::repair_short_lines_max) {
    spdlog::warn("repair: … and {} more", news_count - limits::repair_short_lines_max);
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
