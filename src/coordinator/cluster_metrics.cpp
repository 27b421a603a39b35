#include "coordinator/cluster_metrics.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "base/wall_clock.h"
#include "coordinator/moved_workers.h"

namespace grove {
namespace {

Metrics::LabelValues labels_of(DeviceConfig const& worker) {
  return {fmt::to_string(worker.rank.value), worker.host};
}

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

// The generation that a gather would give; where nothing is complete the newest.
GenerationReport const& newest_complete(CheckpointReport const& checkpoint) {
  auto const found = std::ranges::find_if(checkpoint.generations, &GenerationReport::has_manifest);
  return found == checkpoint.generations.end() ? checkpoint.generations.front() : *found;
}

// The sum of all checkpoints in one state.
struct Total {
  double checkpoints = 0;
  double bytes = 0;
  double copies_wanted = 0;
  double copies_live = 0;
};

}  // namespace

ClusterMetrics::ClusterMetrics(std::filesystem::path config_path, Services& services, Jobs& jobs,
                               Overview& overview)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      tasks_(services.executor),
      surveyed_(services.executor) {}

Awaitable<void> ClusterMetrics::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

Awaitable<void> ClusterMetrics::refresh() {
  auto const now = Clock::now();
  if (!is_surveying_ && (!survey_begun_ || now - *survey_begun_ >= limits::survey_period)) {
    is_surveying_ = true;
    survey_begun_ = now;
    tasks_.spawn("survey for metrics", survey_and_show());
  }
  auto const deadline = now + limits::survey_wait;
  while (is_surveying_) {
    bool const notified = co_await surveyed_.wait_until(deadline);
    if (!notified) break;  // too late, or we stop
  }
  show_jobs();
  show_ages();
}

void ClusterMetrics::show_jobs() {
  std::map<std::pair<JobKind, JobState>, double> counts;
  for (auto const& job : jobs_.recent()) ++counts[{job->kind(), job->state()}];
  std::vector<Metrics::Sample> samples;
  for (auto const kind : all_job_kinds) {
    for (auto const state : {JobState::running, JobState::queued}) {
      samples.push_back({.labels = {std::string(to_string(kind)), std::string(to_string(state))},
                         .value = counts[{kind, state}]});
    }
  }
  services_.metrics.replace(Level::jobs, std::move(samples));
  auto const traffic = services_.http.traffic();
  services_.metrics.raise_to(Count::bytes_sent, traffic.sent);
  services_.metrics.raise_to(Count::bytes_received, traffic.received);
}

void ClusterMetrics::show_ages() {
  std::chrono::duration<double> const survey_age = Clock::now() - shown_as_of_.value_or(started_);
  services_.metrics.set(Level::survey_age, survey_age.count());
  if (!newest_safe_) {
    services_.metrics.replace(Level::newest_safe_age, {});
    return;
  }
  auto const age_ms = static_cast<double>(wall_clock_ms() - newest_safe_since_ms_);
  services_.metrics.set(Level::newest_safe_age, std::max(0.0, age_ms / 1000));
}

// A coordinator that has seen it become safe knows when; of all others the generation tells when
// their store began.
void ClusterMetrics::note_newest_safe(std::optional<Generation> newest) {
  if (newest == newest_safe_) return;
  bool const was_seen = shown_as_of_ && newest > newest_safe_;
  if (newest) {
    newest_safe_since_ms_ = was_seen ? wall_clock_ms() : static_cast<std::int64_t>(newest->value);
  }
  newest_safe_ = newest;
}

Awaitable<void> ClusterMetrics::survey_and_show() {
  auto const begun = Clock::now();
  auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
  if (config.has_error()) {
    spdlog::warn("metrics: {}", config.error().message);
  } else {
    co_await follow_moved_workers(services_, config.value(), LookUp::remembered,
                                  [](std::string) {});
    auto view = co_await survey(services_, config.value(), std::nullopt);
    // A survey that we cut short has found nobody.
    bool stopped = co_await is_cancelled();
    if (!stopped) {
      show_workers(config.value(), view);
      auto const reports = co_await overview_.reports(config.value(), view);
      stopped = co_await is_cancelled();
      if (!stopped) {
        show_checkpoints(reports);
        shown_as_of_ = begun;
      }
    }
  }
  is_surveying_ = false;
  surveyed_.notify_all();
}

void ClusterMetrics::show_workers(Config const& config, ClusterView const& view) {
  std::map<Level, std::vector<Metrics::Sample>> samples;
  for (auto const level :
       {Level::worker_up, Level::worker_free_bytes, Level::worker_size_bytes,
        Level::worker_reserved_bytes, Level::worker_copies, Level::worker_damaged_refs}) {
    samples[level] = {};
  }
  for (auto const& member : view.members) {
    auto const& worker = config.workers[member.worker_index];
    auto const add = [&](Level level, double value) {
      samples[level].push_back({.labels = labels_of(worker), .value = value});
    };
    add(Level::worker_up, member.health ? 1 : 0);
    if (!member.health) continue;
    add(Level::worker_free_bytes, number(member.health->free_bytes));
    add(Level::worker_size_bytes, number(member.health->total_bytes));
    add(Level::worker_reserved_bytes, number(member.health->reserved_bytes));
  }
  for (auto const& inventory : view.inventories) {
    auto const labels = labels_of(config.workers[inventory.worker_index]);
    double copies = 0, damaged = 0;
    for (auto const& held : inventory.refs) {
      if (held.ref.name.shard) ++copies;
      if (!held.is_sound) ++damaged;
    }
    samples[Level::worker_copies].push_back({.labels = labels, .value = copies});
    samples[Level::worker_damaged_refs].push_back({.labels = labels, .value = damaged});
  }
  for (auto& [level, values] : samples) services_.metrics.replace(level, std::move(values));
}

void ClusterMetrics::show_checkpoints(std::vector<CheckpointReport> const& reports) {
  auto const being_stored = identities_being_stored();
  std::map<Verdict, Total> totals;
  std::map<Verdict, std::vector<Metrics::Sample>> not_safe;
  std::optional<Generation> newest_safe;
  for (auto const& checkpoint : reports) {
    auto const& report = newest_complete(checkpoint);
    auto const identity = checkpoint.key.identity();
    auto& total = totals[report.verdict];
    ++total.checkpoints;
    total.copies_wanted += number(report.copies.wanted);
    total.copies_live += number(report.copies.live);
    if (report.facts) total.bytes += number(report.facts->file_bytes);
    if (report.verdict == Verdict::safe) {
      newest_safe = std::max(newest_safe, std::optional(report.generation));
    } else if (report.verdict != Verdict::unfinished || !being_stored.contains(identity)) {
      not_safe[report.verdict].push_back(
          {.labels = {printable(identity), std::string(to_string(report.verdict))}, .value = 1});
    }
  }
  note_newest_safe(newest_safe);
  auto const show = [&](Level level, double Total::*field) {
    std::vector<Metrics::Sample> samples;
    for (auto const verdict : all_verdicts) {
      samples.push_back(
          {.labels = {std::string(to_string(verdict))}, .value = totals[verdict].*field});
    }
    services_.metrics.replace(level, std::move(samples));
  };
  show(Level::checkpoints, &Total::checkpoints);
  show(Level::checkpoint_bytes, &Total::bytes);
  show(Level::copies_wanted, &Total::copies_wanted);
  show(Level::copies_live, &Total::copies_live);
  std::vector<Metrics::Sample> named;
  for (auto const verdict : {Verdict::lost, Verdict::out_of_reach, Verdict::at_risk,
                             Verdict::healing, Verdict::unfinished}) {
    for (auto& sample : not_safe[verdict]) {
      if (named.size() < limits::metrics_checkpoints_max) named.push_back(std::move(sample));
    }
  }
  services_.metrics.replace(Level::checkpoint_not_safe, std::move(named));
}

std::set<std::string> ClusterMetrics::identities_being_stored() const {
  std::set<std::string> identities;
  for (auto const& job : jobs_.recent()) {
    if (job->kind() == JobKind::store && !job->is_finished()) identities.insert(job->identity());
  }
  return identities;
}

}  // namespace grove
