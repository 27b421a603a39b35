// The chunks that running jobs rely on, though no ref names them yet: the collector leaves them.
// Leases do not survive a restart; the collector makes up for that (store/collector.h).
// Threads: any; locks itself, never waits.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/digest.h"
#include "format/ref.h"

namespace grove {

// A lease ends `period` after the job's last call, on the monotonic clock.
class Leases {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Leases(Clock::duration period) : period_(period) {}

  // Pins `digests` for `job` and renews all the job's pins. An empty span only renews.
  void pin(std::string const& job, std::span<Digest const> digests, Clock::time_point now);
  // Notes a ref that the job itself has put.
  void note(std::string const& job, Ref const& ref, Clock::time_point now);
  bool is_pinned(Digest const& digest, Clock::time_point now) const;
  // Ends the job's lease now; returns what it had pinned and put.
  struct Released {
    std::vector<Digest> digests;
    std::vector<Ref> refs;
  };
  Released release(std::string const& job);
  // Forgets leases that have ended; returns the number of jobs left.
  std::size_t expire(Clock::time_point now);

 private:
  struct Lease {
    std::unordered_set<Digest> digests;
    std::vector<Ref> refs;
    Clock::time_point ends;
  };
  Clock::duration period_;
  mutable std::mutex mutex_;
  std::map<std::string, Lease> leases_;
};

}  // namespace grove
