// Re-reads what one worker holds and compares it with its names. Disks lose bytes silently
// (Bairavasundaram et al., FAST 2008: latent checksum mismatches on 0.86 % of SATA disks in 17
// months), so two copies are two copies only while somebody reads them. Damage goes to quarantine/
// and counts as absent. When a chunk was last proven its file's mtime tells, so that what is due is
// known after a restart too, and what generations share is read once.
// Not here: mending (coordinator/repair.h), when and how fast (worker/scrub_schedule.h,
// worker/scrub_pace.h). Threads: any; blocks on the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "store/chunk_store.h"
#include "store/ref_store.h"

namespace grove {

struct ScrubReport {
  std::uint64_t chunks_read = 0;
  std::uint64_t bytes_read = 0;
  // Chunks, shard lists and manifests that no longer matched their name, and what damaged refs
  // named.
  std::vector<Digest> damaged;
  std::uint64_t refs_verified = 0;
  // Refs that lack something now, damaged by this pass or before, and how many chunks (or lists or
  // manifests) each of them lacks, together.
  std::uint64_t refs_not_whole = 0;
  std::uint64_t missing_count = 0;
  bool is_whole = true;  // it came to its end
  // When the chunk that was proven last the longest ago was, of all that refs name and that are
  // here; ms of the wall clock. As the pass found it, and as it left it.
  std::optional<std::int64_t> oldest_ms;
  std::optional<std::int64_t> oldest_left_ms;
  // The same of the ref that is being read now.
  std::optional<std::int64_t> reading_ms;
};

// Which chunks: all, or those that were not proven at or after a moment (wall clock).
struct ScrubScope {
  std::optional<std::int64_t> unverified_since_ms;
};
// Asked between chunks, on the scrub's thread, with what was done so far; false ends early. May
// take its time: that is the scrub's pace.
using ScrubGate = std::function<bool(ScrubReport const&)>;
// Asked between refs while it looks for what is due; false ends early. Takes no time.
using ScrubWanted = std::function<bool()>;
inline bool is_always_wanted() {
  return true;
}

// Reads every chunk of `scope` that some ref names, dropping it from the page cache first, decodes
// it and proves its SHA-256, and what leads there (the ref's file, its list or manifest): those of
// the ref first whose oldest chunk is the oldest. A ref all of whose chunks are good is marked
// verified as soon as they are, since its oldest chunk was proven; as re-read only where this pass
// has read all of them. A chunk that was absent before is not damaged but missing. Fails: as
// base/file.h does for a disk that cannot be read for another reason than damage.
Result<ScrubReport> scrub(ChunkStore& chunks, RefStore& refs, ScrubScope scope,
                          ScrubGate const& keep_going,
                          ScrubWanted const& is_wanted = is_always_wanted);

// The same of one ref, whatever was proven when. None: `keep_going` ended it; else whether all of
// its chunks are good.
Result<std::optional<bool>> reread(ChunkStore& chunks, RefStore& refs, Ref const& ref,
                                   ScrubGate const& keep_going);

}  // namespace grove
