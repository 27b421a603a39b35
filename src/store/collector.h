// Which chunks may go: mark and sweep over refs. A chunk, list or manifest that no ref reaches is
// removed once it is older than the grace period and no running job has pinned it. Refs that lie in
// trash/ reach what they did until the trash is emptied of them, a grace period after they came
// there; one that cannot be read any more reaches nothing. After a start nothing is swept for one
// whole grace period, since leases do not survive a restart.
// Unfinished generations (shard refs without a manifest) older than the grace period are dropped
// when a newer complete generation of the same identity is here.
//
// Beside a store that is running: refs may be put while a sweep goes on. The marks only grow, and
// under the collector's lock, which put_ref holds from its check to its ref, all refs there are
// have been marked before anything is removed. So a ref is either marked, or its check comes after
// the removal and sees what is gone. Threads: any; sweep() blocks on the disk and takes the
// collector's lock one folder at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "store/chunk_store.h"
#include "store/leases.h"
#include "store/ref_store.h"

namespace grove {

struct SweepReport {
  std::uint64_t chunks_removed = 0;
  std::uint64_t bytes_removed = 0;
  std::uint64_t objects_removed = 0;  // lists and manifests
  std::uint64_t refs_dropped = 0;     // of unfinished generations
};

class Collector {
 public:
  // `started` is when this process began to keep leases.
  Collector(DataFolder const& folder, ChunkStore& chunks, RefStore& refs, Leases& leases,
            std::chrono::milliseconds grace,
            Leases::Clock::time_point started = Leases::Clock::now());

  // One whole mark and sweep. Idempotent; safe beside puts, stores and another sweep.
  // First empties trash/ of what came there longer than the grace period ago.
  // Fails: not_found, corrupt (a list or manifest that a ref names cannot be read: its chunks are
  // unknown, so none is removed until it is put again), internal.
  Result<SweepReport> sweep();

  // Ends a job's lease and removes at once, whatever their age, the chunks and lists that it had
  // pinned, no ref reaches and no other job has pinned: a store that failed for good gives back the
  // room it took. Refs that the job itself had put and that were deleted since leave the trash at
  // once. Idempotent. Fails: as sweep().
  Result<SweepReport> release(std::string const& job);

 private:
  // What the refs reach, as of one version of them.
  struct Marks {
    std::uint64_t refs_version = 0;
    std::unordered_set<Digest> targets;
    std::map<std::string, std::int64_t> trashed;   // names in trash/ that were looked at, by ctime
    std::vector<Digest> chunks, lists, manifests;  // sorted
  };

  bool is_young(std::int64_t time_ns, std::int64_t written_by_ns) const;
  Result<void> mark(Marks& marks) const;
  Result<void> mark_trash(Marks& marks) const;
  Result<void> mark_reach(Ref const& ref, Marks& marks) const;
  Result<void> sweep_chunks(Marks& marks, std::int64_t written_by_ns, SweepReport& report);
  Result<void> sweep_objects(Marks& marks, std::int64_t written_by_ns, SweepReport& report);
  Result<void> remove_unless_kept(Digest const& digest, Marks const& marks, SweepReport& report);
  Result<void> sweep_trash(std::int64_t trashed_by_ns) const;

  DataFolder const& folder_;
  ChunkStore& chunks_;
  RefStore& refs_;
  Leases& leases_;
  std::chrono::milliseconds grace_;
  Leases::Clock::time_point started_;
  std::mutex sweep_mutex_;  // one sweep at a time: another would remove lists this one reads
};

}  // namespace grove
