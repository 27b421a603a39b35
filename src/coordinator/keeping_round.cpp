#include "coordinator/keeping_round.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/wall_clock.h"
#include "coordinator/forget.h"
#include "coordinator/verdict.h"
#include "plan/retention.h"

namespace grove {
namespace {

std::string words_of(Tombstone const& tombstone) {
  return fmt::format("{} was forgotten up to generation {}", tombstone.key.identity(),
                     tombstone.up_to.value);
}

std::string words_of(Pin const& pin) {
  return fmt::format("{} is {}", pin.key.identity(), pin.is_pinned ? "pinned" : "no longer pinned");
}

}  // namespace

KeepingRound::KeepingRound(Services& services, Jobs& jobs, Config const& config,
                           ClusterView const& view, std::span<CompleteGeneration const> complete,
                           std::span<std::string const> storing)
    : services_(services),
      jobs_(jobs),
      config_(config),
      view_(view),
      tombstones_(untold_tombstones(view)),
      pins_(untold_pins(view)) {
  std::set<CheckpointKey> pinned;
  for (auto const& pin : view.pins) {
    if (pin.is_pinned) pinned.insert(pin.key);
  }
  std::vector<StoredGeneration> stored;
  std::map<CheckpointKey, std::size_t> first;  // of each checkpoint, into `stored`
  for (auto const& it : complete) {
    first.emplace(it.key, stored.size());
    stored.push_back(
        {.key = it.key,
         .generation = it.manifest->generation,
         .is_safe = count_copies(*it.manifest, *it.inventories, config.redundancy).is_safe(),
         .is_pinned = pinned.contains(it.key)});
  }
  // It drops what nobody proves anew: one that is pinned must not be taken for one that is not.
  auto const retention = view.sees_all(config.redundancy) ? config.retention : Retention{};
  auto unsettled = unfinished_checkpoints(view.inventories);
  for (auto const& identity : storing) unsettled.insert(CheckpointKey::parse(identity).value());
  for (auto& what : plan_forgetting(stored, unsettled, config.generations, retention)) {
    Planned planned{.what = std::move(what), .manifest = {}, .inventories = {}, .by = {}};
    auto index = first.at(planned.what.key);
    for (; index < stored.size() && stored[index].key == planned.what.key; ++index) {
      if (stored[index].generation == planned.what.generation) {
        planned.manifest = complete[index].manifest;
        planned.inventories = complete[index].inventories;
      }
      bool const is_newer = stored[index].generation > planned.what.generation;
      if (planned.by.witnesses.empty() && is_newer && stored[index].is_safe) {
        planned.by = {.newer = stored[index].generation,
                      .witnesses = manifest_holders(*complete[index].inventories, stored[index].key,
                                                    stored[index].generation)};
      }
    }
    // Superseded ones come newest first.
    going_.emplace(planned.what.key, planned.what.generation);
    if (planned.what.reason == ForgetReason::retention) {
      auto const step = run_step_of(planned.what.key);  // what has none is kept
      steps_[{step->run, step->step}].files.push_back(planned.what.key);
    }
    forgettings_.push_back(std::move(planned));
  }
  if (view.alive_count() == config.workers.size()) plan_to_clear(storing);
}

// What stores have left that did not end.
void KeepingRound::plan_to_clear(std::span<std::string const> storing) {
  auto const before_ms = std::max<std::int64_t>(0, wall_clock_ms() - config_.collect_after.count());
  Generation const before{static_cast<std::uint64_t>(before_ms)};
  for (auto& what : plan_clearing(view_.inventories, before)) {
    if (std::ranges::find(storing, what.key.identity()) != storing.end()) continue;
    // The view outlives the round.
    std::shared_ptr<std::vector<WorkerInventory> const> const inventories(std::shared_ptr<void>(),
                                                                          &view_.inventories);
    forgettings_.push_back(
        {.what = std::move(what), .manifest = {}, .inventories = inventories, .by = {}});
  }
}

bool KeepingRound::forgets(CheckpointKey const& key, Generation generation) const {
  auto const up_to = going_.find(key);
  return up_to != going_.end() && generation <= up_to->second;
}

std::string KeepingRound::line(Planned const& planned) const {
  if (planned.what.reason == ForgetReason::retention) {
    return fmt::format("{}, since `retention` does not keep it", planned.what.key.identity());
  }
  if (planned.what.reason == ForgetReason::unfinished) {
    return fmt::format("generation {} of {}, since its store did not end",
                       planned.what.generation.value, planned.what.key.identity());
  }
  return fmt::format("generation {} of {}, since a newer one has replaced it",
                     planned.what.generation.value, planned.what.key.identity());
}

std::string KeepingRound::text() const {
  std::string lines;
  auto const name = [&](std::size_t worker) {
    auto const& device = config_.workers[worker];
    return fmt::format("rank {} ({})", device.rank.value, device.host);
  };
  for (auto const& [worker, mark] : tombstones_) {
    lines += fmt::format("  {} to be told: {}\n", name(worker), words_of(mark));
  }
  for (auto const& [worker, mark] : pins_) {
    lines += fmt::format("  {} to be told: {}\n", name(worker), words_of(mark));
  }
  for (auto const& planned : forgettings_) {
    lines += fmt::format("  to be forgotten: {}\n", line(planned));
  }
  return lines;
}

Awaitable<void> KeepingRound::carry_out(std::shared_ptr<Job> job) {
  job_ = std::move(job);
  for (auto const& untold : tombstones_) co_await hand_on(untold);
  for (auto const& untold : pins_) co_await hand_on(untold);
  for (auto const& planned : forgettings_) {
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return;
    co_await forget(planned);
  }
}

template <typename Mark>
Awaitable<void> KeepingRound::hand_on(UntoldMark<Mark> untold) {
  auto const& device = config_.workers[untold.worker_index];
  auto const told = co_await tell(
      services_, config_, std::span(view_.members).subspan(untold.worker_index, 1), untold.mark);
  if (told.not_told.empty()) {
    job_->add_line(fmt::format("  ✓ rank {} ({}) told: {}", device.rank.value, device.host,
                               words_of(untold.mark)));
    co_return;
  }
  auto const& error = told.not_told.front().error;
  if (error.kind == ErrorKind::cancelled) co_return;
  note_failure(fmt::format("rank {} ({}) not told: {}", device.rank.value, device.host,
                           words_of(untold.mark)),
               error);
}

void KeepingRound::note_failure(std::string const& what, Error const& error) {
  // Another coordinator deleted there, or a witness could not prove it: later it may.
  bool const is_refused = error.kind == ErrorKind::conflict;
  ++(is_refused ? later_count_ : failed_count_);
  job_->add_line(fmt::format("  {}{}: {}", is_refused ? "" : "✗ ", what, error.message));
}

Awaitable<void> KeepingRound::forget(Planned const& planned) {
  if (jobs_.is_storing(planned.what.key.identity())) {
    ++later_count_;
    co_return;
  }
  bool const is_checkpoint = planned.what.reason == ForgetReason::retention;
  auto forgetting = is_checkpoint ? forget_checkpoint(planned) : forget_generation(planned);
  auto const forgotten = co_await std::move(forgetting);
  if (forgotten.has_value()) {
    ++forgotten_count_;
    services_.metrics.add(Count::forgotten, {std::string(to_string(planned.what.reason))});
    job_->add_line("  ✓ forgotten: " + line(planned));
  } else if (forgotten.error().kind != ErrorKind::cancelled) {
    note_failure("not forgotten: " + line(planned), forgotten.error());
  }
}

// Once for all files of a step: nobody has pinned one of them since the plan was made, on a worker
// that was away then.
Awaitable<Result<void>> KeepingRound::check_retention(CheckpointKey const& key) {
  auto const step = run_step_of(key);
  auto& it = steps_[{step->run, step->step}];
  if (it.may_go) co_return *it.may_go;
  it.may_go = ok();
  for (auto const& file : it.files) {
    auto const now = co_await survey(services_, config_, file);
    if (!now.sees_all(config_.redundancy)) {
      it.may_go =
          fail(ErrorKind::conflict, "{}: too few to tell whether it is pinned", now.summary());
      break;
    }
    if (std::ranges::any_of(now.pins, [](Pin const& pin) { return pin.is_pinned; })) {
      it.may_go = fail(ErrorKind::conflict, "{} is pinned", file.identity());
      break;
    }
  }
  co_return *it.may_go;
}

Awaitable<Result<void>> KeepingRound::forget_checkpoint(Planned const& planned) {
  CO_TRY(co_await check_retention(planned.what.key));
  auto const tombstone = co_await tombstone_of_all(services_, config_, planned.what.key,
                                                   planned.what.generation, planned.manifest.get());
  auto const told = co_await tell(services_, config_, view_.members, tombstone);
  // Who does not answer is told by a later round.
  for (auto const& [worker, error] : told.not_told) {
    if (view_.members[worker].health) co_return error;
  }
  co_return ok();
}

Awaitable<Result<void>> KeepingRound::forget_generation(Planned const& planned) {
  co_return co_await grove::forget_generation(services_, config_, view_.members,
                                              *planned.inventories, planned.what.key,
                                              planned.what.generation, planned.by);
}

}  // namespace grove
