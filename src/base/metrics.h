// What a process tells Prometheus: counts, levels and timings, all of them named in one table
// (metrics.cpp), described in docs/operations.md#metrics-and-monitoring. One object per process; it
// has the families of its roles only, and a fresh one already shows the zeros of what it will
// count, so that a rate over it is right from the first event on.
// Not here: the HTTP route (net/metrics_route.h), who measures what.
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace grove {

enum class Role : unsigned { coordinator = 1, worker = 2, watcher = 4 };

// Grows only, and begins at 0 with the process.
enum class Count {
  bytes_sent,
  bytes_received,
  // coordinator
  store_operations,   // by result
  gather_operations,  // by result
  transfer_errors,    // by rank
  worker_changes,     // by rank and presence
  damage_met,         // by rank
  forgotten,          // by reason
  copies_made,
  copies_dropped,
  copies_failed,
  repaired_bytes,
  // worker
  chunks_put,
  chunks_served,
  chunks_pulled,
  deltas_put,
  deltas_pulled,
  deltas_refused,
  pull_errors,  // by rank
  scrub_chunks,
  scrub_bytes,
  scrub_damaged,
  collected_chunks,
  collected_bytes,
  disk_syncs,
  // watcher
  watcher_stores,   // by result
  watcher_skipped,  // by reason
};

// Goes up and down.
enum class Level {
  build,  // by version; always 1
  // coordinator
  jobs,                   // by kind and state
  worker_up,              // by rank and host
  worker_free_bytes,      // by rank and host
  worker_size_bytes,      // by rank and host
  worker_reserved_bytes,  // by rank and host
  worker_copies,          // by rank and host
  worker_damaged_refs,    // by rank and host
  checkpoints,            // by state
  checkpoint_bytes,       // by state
  copies_wanted,          // by state
  copies_live,            // by state
  checkpoint_not_safe,    // by identity and state
  newest_safe_age,
  survey_age,
  drill_time,
  drill_duration,
  drill_ok,
  // worker
  disk_free_bytes,
  disk_size_bytes,
  disk_reserved_bytes,
  refs_held,
  copies_held,
  damaged_refs,
  quarantined_files,
  last_scrub_time,
  oldest_proof_age,
  // watcher
  watcher_files,
  watcher_waiting_files,
  watcher_last_pass,
};

// A histogram of durations.
enum class Timing {
  store_wall,
  gather_wall,
  send_duration,
  sync_duration,
};

class Metrics {
 public:
  explicit Metrics(std::initializer_list<Role> roles);
  ~Metrics();
  Metrics(Metrics const&) = delete;
  Metrics& operator=(Metrics const&) = delete;

  // One value for each label of the family, in the table's order; any text without NUL.
  using LabelValues = std::vector<std::string>;

  // A family that none of the roles has, or another number of labels than it has, is a bug
  // (asserted). With `amount` 0 the value only appears.
  void add(Count count, LabelValues labels = {}, std::uint64_t amount = 1);
  // Brings a count that somebody else keeps up to `total`; never down.
  void raise_to(Count count, std::uint64_t total);
  void set(Level level, double value, LabelValues labels = {});
  void observe(Timing timing, std::chrono::duration<double> time);

  struct Sample {
    LabelValues labels;
    double value = 0;
  };
  // The level has exactly these values from now on, whatever it had before; none: it vanishes.
  // The labels of two samples must differ.
  void replace(Level level, std::vector<Sample> samples);

  // Everything in Prometheus' text format 0.0.4. Families without a value are left out.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grove
