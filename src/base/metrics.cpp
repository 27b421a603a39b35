#include "base/metrics.h"

#include <array>
#include <iterator>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace grove {
namespace {

constexpr unsigned coordinator = static_cast<unsigned>(Role::coordinator);
constexpr unsigned worker = static_cast<unsigned>(Role::worker);
constexpr unsigned watcher = static_cast<unsigned>(Role::watcher);
constexpr unsigned everyone = coordinator | worker | watcher;

// --- the table ---

template <typename Id>
struct Row {
  Id id;
  unsigned roles;
  char const* name;
  char const* help;
  std::array<char const*, 2> labels{};
  // Of the one label: the values that are there from the start.
  std::array<char const*, 6> values{};
};

constexpr std::array<char const*, 6> job_results{"done", "failed", "cancelled"};

constexpr Row<Count> counts[] = {
    {Count::bytes_sent, coordinator | worker, "smoltorrent_bytes_sent_total",
     "Bytes of HTTP bodies sent: by a coordinator to workers, by a worker to anybody."},
    {Count::bytes_received, coordinator | worker, "smoltorrent_bytes_received_total",
     "Bytes of HTTP bodies received: by a coordinator from workers, by a worker from anybody."},
    {Count::store_operations,
     coordinator,
     "smoltorrent_store_operations_total",
     "Stores that ended, by result.",
     {"result"},
     job_results},
    {Count::gather_operations,
     coordinator,
     "smoltorrent_gather_operations_total",
     "Gathers that ended, by result.",
     {"result"},
     job_results},
    {Count::transfer_errors,
     coordinator,
     "smoltorrent_transfer_errors_total",
     "Tries that failed, by the worker's rank: of a copy or the manifest in a store, of a holder "
     "in a gather.",
     {"rank"}},
    {Count::worker_changes,
     coordinator,
     "smoltorrent_worker_changes_total",
     "Changes of what a worker is to the coordinator's watch: up, late, down or full.",
     {"rank", "presence"}},
    {Count::damage_met,
     coordinator,
     "smoltorrent_gather_damaged_chunks_total",
     "Chunks that gathers found damaged on a worker and had from another, by rank.",
     {"rank"}},
    {Count::forgotten,
     coordinator,
     "smoltorrent_forgotten_total",
     "Checkpoints and generations forgotten on purpose, by reason: asked (grove rm), retention, "
     "superseded by newer generations, or unfinished long ago.",
     {"reason"},
     {"asked", "retention", "superseded", "unfinished"}},
    {Count::copies_made, coordinator, "smoltorrent_repair_copies_made_total",
     "Copies of shards that repair has made, worker to worker."},
    {Count::copies_dropped, coordinator, "smoltorrent_repair_copies_dropped_total",
     "Copies of shards that repair has dropped where they are not needed any more."},
    {Count::copies_failed, coordinator, "smoltorrent_repair_failures_total",
     "Steps of repair that failed: a copy, a manifest or a drop. They are tried again."},
    {Count::repaired_bytes, coordinator, "smoltorrent_repair_bytes_total",
     "Bytes of chunks that repair had moved, worker to worker."},
    {Count::chunks_put, worker, "smoltorrent_chunks_put_total",
     "Chunks taken from the coordinator and proven."},
    {Count::chunks_served, worker, "smoltorrent_chunks_served_total",
     "Chunks given to whoever asked."},
    {Count::chunks_pulled, worker, "smoltorrent_chunks_pulled_total",
     "Chunks fetched from other workers and proven."},
    {Count::deltas_put, worker, "smoltorrent_deltas_put_total",
     "Of the chunks taken from the coordinator, those that came as deltas and were rebuilt."},
    {Count::deltas_pulled, worker, "smoltorrent_deltas_pulled_total",
     "Of the chunks fetched from other workers, those that came as deltas and were rebuilt."},
    {Count::deltas_refused, worker, "smoltorrent_deltas_refused_total",
     "Deltas, offered or asked for, that could not be: those chunks go whole."},
    {Count::pull_errors,
     worker,
     "smoltorrent_pull_errors_total",
     "Chunks that another worker, of this rank, did not give.",
     {"rank"}},
    {Count::scrub_chunks, worker, "smoltorrent_scrub_chunks_total",
     "Chunks re-read from the disk by scrubs."},
    {Count::scrub_bytes, worker, "smoltorrent_scrub_bytes_total",
     "Bytes re-read from the disk by scrubs."},
    {Count::scrub_damaged, worker, "smoltorrent_scrub_damaged_chunks_total",
     "Chunks that scrubs found to match their names no longer."},
    {Count::collected_chunks, worker, "smoltorrent_collected_chunks_total",
     "Chunks removed since nothing named them."},
    {Count::collected_bytes, worker, "smoltorrent_collected_bytes_total",
     "Bytes on the disk that collection freed."},
    {Count::disk_syncs, worker, "smoltorrent_disk_syncs_total",
     "Files and folders of chunks that the disk was asked to make durable (fdatasync, fsync)."},
    {Count::watcher_stores,
     watcher,
     "smoltorrent_watcher_stores_total",
     "Files that the watcher had stored, by result.",
     {"result"},
     {"done", "failed"}},
    {Count::watcher_skipped,
     watcher,
     "smoltorrent_watcher_skipped_total",
     "Files that the watcher left alone, by reason.",
     {"reason"},
     {"forgotten", "retention", "incomplete", "unreadable", "merged", "written_by_grove"}},
};

constexpr Row<Level> levels[] = {
    {Level::build,
     everyone,
     "smoltorrent_build_info",
     "1, with the program's version.",
     {"version"}},
    {Level::jobs,
     coordinator,
     "smoltorrent_jobs",
     "Jobs that have not ended, by kind (store, gather, repair, drill) and state (running, "
     "queued).",
     {"kind", "state"}},
    {Level::worker_up,
     coordinator,
     "smoltorrent_worker_up",
     "1 where the worker of the config answers as itself, else 0.",
     {"rank", "host"}},
    {Level::worker_free_bytes,
     coordinator,
     "smoltorrent_worker_free_bytes",
     "Free bytes on the disk of a worker that answers.",
     {"rank", "host"}},
    {Level::worker_size_bytes,
     coordinator,
     "smoltorrent_worker_size_bytes",
     "Size of the disk of a worker that answers.",
     {"rank", "host"}},
    {Level::worker_reserved_bytes,
     coordinator,
     "smoltorrent_worker_reserved_bytes",
     "Bytes that a worker that answers leaves free.",
     {"rank", "host"}},
    {Level::worker_copies,
     coordinator,
     "smoltorrent_worker_copies",
     "Copies of shards on a worker that answers, of all generations.",
     {"rank", "host"}},
    {Level::worker_damaged_refs,
     coordinator,
     "smoltorrent_worker_damaged_refs",
     "Copies of shards, and manifests, on a worker that answers that lack a chunk, as far as it "
     "knows.",
     {"rank", "host"}},
    {Level::checkpoints,
     coordinator,
     "smoltorrent_checkpoints",
     "Stored checkpoints, by the state of their newest complete generation; unfinished: none.",
     {"state"}},
    {Level::checkpoint_bytes,
     coordinator,
     "smoltorrent_checkpoint_bytes",
     "Bytes of the files of stored checkpoints, each once, by the same state.",
     {"state"}},
    {Level::copies_wanted,
     coordinator,
     "smoltorrent_copies_wanted",
     "Copies of shards that stored checkpoints should have (shards times redundancy), by state.",
     {"state"}},
    {Level::copies_live,
     coordinator,
     "smoltorrent_copies_live",
     "Sound copies of shards that stored checkpoints have on workers that answer, by state.",
     {"state"}},
    {Level::checkpoint_not_safe,
     coordinator,
     "smoltorrent_checkpoint_not_safe",
     "1 for each checkpoint that is not safe; at most 50, the worst first.",
     {"identity", "state"}},
    {Level::newest_safe_age, coordinator, "smoltorrent_newest_safe_checkpoint_age_seconds",
     "Seconds since the newest of the checkpoints that are safe now became safe; since its store "
     "began where this coordinator did not see it."},
    {Level::survey_age, coordinator, "smoltorrent_survey_age_seconds",
     "Seconds since the workers were last asked for what this coordinator says of them; since its "
     "start where they were not."},
    {Level::drill_time, coordinator, "smoltorrent_drill_timestamp_seconds",
     "When the last drill ended, in seconds since 1970; absent before the first."},
    {Level::drill_duration, coordinator, "smoltorrent_drill_duration_seconds",
     "How long the last drill took to restore its checkpoint."},
    {Level::drill_ok, coordinator, "smoltorrent_drill_ok",
     "1 where the last drill gave back the exact bytes, else 0."},
    {Level::disk_free_bytes, worker, "smoltorrent_disk_free_bytes",
     "Free bytes on the disk of the data folder."},
    {Level::disk_size_bytes, worker, "smoltorrent_disk_size_bytes",
     "Size of the disk of the data folder."},
    {Level::disk_reserved_bytes, worker, "smoltorrent_disk_reserved_bytes",
     "Bytes that this worker leaves free."},
    {Level::refs_held, worker, "smoltorrent_refs_held",
     "Refs held: copies of shards, and manifests."},
    {Level::copies_held, worker, "smoltorrent_copies_held",
     "Copies of shards held, of all generations."},
    {Level::damaged_refs, worker, "smoltorrent_damaged_refs",
     "Refs held that lack a chunk, as far as the worker knows."},
    {Level::quarantined_files, worker, "smoltorrent_quarantined_files",
     "Damaged files kept in quarantine/."},
    {Level::last_scrub_time, worker, "smoltorrent_last_scrub_timestamp_seconds",
     "When the last scrub ended, of everything or of all that was due, in seconds since 1970; "
     "absent before the first."},
    {Level::oldest_proof_age, worker, "smoltorrent_oldest_proof_age_seconds",
     "Seconds since the copy that was not re-read for the longest time was re-read or put; absent "
     "where there is none."},
    {Level::watcher_files, watcher, "smoltorrent_watcher_files",
     "Files under ckpt_root that the watcher looks after."},
    {Level::watcher_waiting_files, watcher, "smoltorrent_watcher_waiting_files",
     "Files under ckpt_root that are not yet stored as they are now."},
    {Level::watcher_last_pass, watcher, "smoltorrent_watcher_last_pass_seconds",
     "Seconds that the watcher's last whole pass took."},
};

constexpr Row<Timing> timings[] = {
    {Timing::store_wall, coordinator, "smoltorrent_store_wall_seconds",
     "Time from the beginning of a store to its end, whatever its result."},
    {Timing::gather_wall, coordinator, "smoltorrent_gather_wall_seconds",
     "Time from the beginning of a gather to its end, whatever its result."},
    {Timing::send_duration, coordinator, "smoltorrent_send_duration_seconds",
     "Time from the beginning of a copy's transfer until it is durable on its worker."},
    {Timing::sync_duration, worker, "smoltorrent_sync_duration_seconds",
     "Time the disk took to make durable what had been put (POST /sync)."},
};

// From a small file in a local cluster to 100 GB over a slow link.
constexpr double bucket_seconds[] = {0.01, 0.03, 0.1, 0.3, 1,    3,    10,   30,
                                     60,   120,  300, 600, 1200, 3600, 7200, 21600};

template <typename Table>
constexpr bool is_in_order(Table const& table) {
  std::size_t index = 0;
  for (auto const& row : table) {
    if (static_cast<std::size_t>(row.id) != index++) return false;
  }
  return true;
}
static_assert(is_in_order(counts) && is_in_order(levels) && is_in_order(timings));

// --- the families of one process ---

template <typename Metric>
using Families = std::vector<prometheus::Family<Metric>*>;  // by id; null: another role's

template <typename Id>
std::size_t index_of(Id id) {
  return static_cast<std::size_t>(id);
}

template <typename Metric, typename Table>
Families<Metric> register_families(Table const& table, unsigned roles,
                                   prometheus::detail::Builder<Metric> (*build)(),
                                   prometheus::Registry& registry) {
  Families<Metric> families;
  for (auto const& row : table) {
    bool const is_ours = (row.roles & roles) != 0;
    families.push_back(is_ours ? &build().Name(row.name).Help(row.help).Register(registry)
                               : nullptr);
  }
  return families;
}

// The family's metric of these labels, made with `args` where it is new.
template <typename Metric, typename TableRow, typename... Args>
Metric& metric_of(Families<Metric> const& families, TableRow const& row,
                  Metrics::LabelValues values, Args const&... args) {
  auto* const family = families[index_of(row.id)];
  GROVE_ASSERT(family != nullptr);
  prometheus::Labels labels;
  std::size_t count = 0;
  for (auto const* name : row.labels) {
    if (name == nullptr) continue;
    GROVE_ASSERT(count < values.size());
    labels.emplace(name, std::move(values[count++]));
  }
  GROVE_ASSERT(count == values.size());
  return family->Add(labels, args...);
}

prometheus::Histogram::BucketBoundaries buckets() {
  return {std::begin(bucket_seconds), std::end(bucket_seconds)};
}

}  // namespace

struct Metrics::State {
  explicit State(unsigned roles)
      : count_families(register_families(counts, roles, prometheus::BuildCounter, registry)),
        level_families(register_families(levels, roles, prometheus::BuildGauge, registry)),
        timing_families(register_families(timings, roles, prometheus::BuildHistogram, registry)),
        gauges(std::size(levels)) {
    for (auto const& row : counts) {
      if (count_families[index_of(row.id)] == nullptr) continue;
      if (row.labels.front() == nullptr) metric_of(count_families, row, {});
      for (auto const* value : row.values) {
        if (value != nullptr) metric_of(count_families, row, {value});
      }
    }
    for (auto const& row : timings) {
      if (timing_families[index_of(row.id)] != nullptr) {
        metric_of(timing_families, row, {}, buckets());
      }
    }
  }

  prometheus::Counter& counter(Count count, LabelValues labels) const {
    return metric_of(count_families, counts[index_of(count)], std::move(labels));
  }

  prometheus::Gauge& gauge(Level level, LabelValues labels) {
    auto& known = gauges[index_of(level)][labels];
    if (known == nullptr) {
      known = &metric_of(level_families, levels[index_of(level)], std::move(labels));
    }
    return *known;
  }

  prometheus::Registry registry;
  Families<prometheus::Counter> count_families;
  Families<prometheus::Gauge> level_families;
  Families<prometheus::Histogram> timing_families;
  // So that a reader sees a level's values all from before or all from after a change.
  std::mutex mutex;
  std::vector<std::map<LabelValues, prometheus::Gauge*>> gauges;  // by level
};

Metrics::Metrics(std::initializer_list<Role> roles) {
  unsigned bits = 0;
  for (auto const role : roles) bits |= static_cast<unsigned>(role);
  state_ = std::make_unique<State>(bits);
  set(Level::build, 1, {GROVE_VERSION});
}

Metrics::~Metrics() = default;

void Metrics::add(Count count, LabelValues labels, std::uint64_t amount) {
  state_->counter(count, std::move(labels)).Increment(static_cast<double>(amount));
}

void Metrics::raise_to(Count count, std::uint64_t total) {
  std::lock_guard const lock(state_->mutex);
  auto& counter = state_->counter(count, {});
  // A counter takes no negative step.
  counter.Increment(static_cast<double>(total) - counter.Value());
}

void Metrics::set(Level level, double value, LabelValues labels) {
  std::lock_guard const lock(state_->mutex);
  state_->gauge(level, std::move(labels)).Set(value);
}

void Metrics::observe(Timing timing, std::chrono::duration<double> time) {
  metric_of(state_->timing_families, timings[index_of(timing)], {}, buckets())
      .Observe(time.count());
}

void Metrics::replace(Level level, std::vector<Sample> samples) {
  std::lock_guard const lock(state_->mutex);
  auto& gauges = state_->gauges[index_of(level)];
  for (auto const& [labels, gauge] : gauges) {
    state_->level_families[index_of(level)]->Remove(gauge);
  }
  gauges.clear();
  for (auto& sample : samples) {
    state_->gauge(level, std::move(sample.labels)).Set(sample.value);
  }
}

std::string Metrics::text() const {
  std::lock_guard const lock(state_->mutex);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, state_->registry.Collect());
  return std::move(out).str();
}

}  // namespace grove
