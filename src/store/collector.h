// Which chunks may go: mark and sweep over refs. A chunk, list or manifest that no ref reaches is
// removed once it is older than the grace period and no running job has pinned it. After a start
// nothing is swept for one whole grace period, since leases do not survive a restart.
// Unfinished generations (shard refs without a manifest) older than the grace period are dropped
// when a newer complete generation of the same identity is here.
// Threads: any; Leases locks itself; sweep() blocks on the disk and takes the collector's lock one
// folder at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "store/chunk_store.h"
#include "store/ref_store.h"

namespace grove {

// The chunks that running jobs rely on. A lease ends `lease_period` after the job's last call,
// on the monotonic clock.
class Leases {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Leases(Clock::duration period) : period_(period) {}

  // Pins `digests` for `job` and renews all the job's pins. An empty span only renews.
  void pin(std::string const& job, std::span<Digest const> digests, Clock::time_point now);
  bool is_pinned(Digest const& digest, Clock::time_point now) const;
  // Forgets leases that have ended; returns the number of jobs left.
  std::size_t expire(Clock::time_point now);

 private:
  struct Lease {
    std::set<Digest> digests;
    Clock::time_point ends;
  };
  Clock::duration period_;
  mutable std::mutex mutex_;
  std::map<std::string, Lease> leases_;
};

struct SweepReport {
  std::uint64_t chunks_removed = 0;
  std::uint64_t bytes_removed = 0;
  std::uint64_t objects_removed = 0;  // lists and manifests
  std::uint64_t refs_dropped = 0;     // of unfinished generations
};

class Collector {
 public:
  Collector(DataFolder const& folder, ChunkStore& chunks, RefStore& refs, Leases& leases,
            std::chrono::seconds grace);

  // One whole mark and sweep. Idempotent; safe beside puts and stores.
  // Also empties trash/ of what is older than the grace period.
  Result<SweepReport> sweep();

 private:
  DataFolder const& folder_;
  ChunkStore& chunks_;
  RefStore& refs_;
  Leases& leases_;
  std::chrono::seconds grace_;
  Leases::Clock::time_point started_;
};

}  // namespace grove
