// Shards × workers × rounds → copies. The ring, in the config's order: round r of shard i is on
// workers[(i + r) % W]. Pure. Room for stand-ins: a later choice among the workers that live goes
// beside place_copies; what carries copies out takes any worker.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "format/manifest.h"

namespace grove {

struct PlannedCopy {
  ShardIndex shard;
  std::uint32_t round = 0;       // 0 is the primary
  std::size_t worker_index = 0;  // into the config's workers
  friend bool operator==(PlannedCopy const&, PlannedCopy const&) = default;
};

// Ordered by shard, then round.
// Fails: invalid when there are fewer workers than `redundancy`, or redundancy is 0.
Result<std::vector<PlannedCopy>> place_copies(std::uint32_t shards_count, std::size_t workers_count,
                                              std::uint32_t redundancy);

std::string text(std::span<PlannedCopy const> copies);

}  // namespace grove
