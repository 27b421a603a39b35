// What the workers hold, against what a manifest promises → which copies are to be made, where and
// from whom, and which are surplus. Pure, and prints itself; coordinator/repair.h carries it out.
//
// A copy belongs on the workers that the ring names (plan/placement.h). One of them that is there
// and lacks its copy gets it, whatever stand-ins hold. One that has been away for a short while is
// taken to hold its copy still, if it was there when that was stored and nobody stands in; one that
// is gone is not, and others keep its copies meanwhile. What others keep is surplus once every
// worker of the ring has its own copy again. One that is to be emptied is on no ring: it gives,
// takes nothing, and what it holds is surplus once enough others have it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/manifest.h"
#include "plan/gather_plan.h"

namespace grove {

enum class WorkerState {
  there,
  away,  // it does not answer, and may be back soon
  gone,  // for so long that its copies are made again elsewhere
};

struct RepairWorker {
  WorkerState state = WorkerState::there;
  // Of one that is away: since when, in ms of the wall clock. What was stored later it cannot have.
  std::uint64_t away_since_ms = UINT64_MAX;
  std::uint64_t room_bytes = 0;      // that it takes now
  std::uint64_t promised_bytes = 0;  // of it, by plans of this round
  bool is_draining = false;          // it is to be emptied
};

enum class RepairReason {
  lost,     // too few copies are left
  damaged,  // this worker has it, without some of its chunks
  home,     // the ring wants it here; others have it
  leaving,  // one that has it is to be emptied
  joined,   // no copy is whole, and what this one lacks another damaged one may have
};

struct CopyToMake {
  ShardIndex shard;
  std::size_t to = 0;
  // Sound holders that are there. None is left: the damaged ones, each of which may have what
  // another lacks.
  std::vector<std::size_t> from;
  RepairReason reason = RepairReason::lost;
  friend bool operator==(CopyToMake const&, CopyToMake const&) = default;
};

struct CopyToDrop {
  ShardIndex shard;
  std::size_t from = 0;
  std::vector<std::size_t> witnesses;  // as many as there are to be copies
  friend bool operator==(CopyToDrop const&, CopyToDrop const&) = default;
};

struct ManifestToDrop {
  std::size_t from = 0;
  std::vector<std::size_t> witnesses;
  friend bool operator==(ManifestToDrop const&, ManifestToDrop const&) = default;
};

struct RepairPlan {
  std::vector<CopyToMake> copies;
  std::vector<std::size_t> manifests;         // workers that hold a copy, or will, without manifest
  std::vector<std::size_t> manifest_holders;  // that are there; the sound ones if there are any
  std::vector<CopyToDrop> drops;
  std::vector<ManifestToDrop> manifest_drops;  // by workers that hold no shard any more
  std::vector<ShardIndex>
      short_of;  // fewer copies than wanted, and nobody to make one or from whom

  bool is_empty() const {
    return copies.empty() && manifests.empty() && drops.empty() && manifest_drops.empty();
  }
  // One step a line; workers by the number in the config, from 0.
  std::string text() const;
};

// What a generation should have of each shard: the config's, or what its manifest was stored with
// where that is more.
std::size_t copies_wanted(Manifest const& manifest, std::uint32_t redundancy);

// `inventories`: of the workers that are there, this checkpoint's refs at least. `redundancy`: the
// config's. What it gives away is promised of the workers' room. A copy that goes home may be
// mostly there already, of other generations: it is promised in any case, and the disk has the last
// word.
RepairPlan plan_repair(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::span<RepairWorker> workers, std::uint32_t redundancy);

}  // namespace grove
