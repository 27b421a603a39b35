// A shard's chunks in windows: what is read, offered and sent together, and pulled by the other
// copies once it is acknowledged.
//
// Larger windows ask less often; a store ends when the last window has been pulled, after it was
// sent. So windows are of window_bytes_max, and towards the end each takes half of what is left.
// Not here: where a copy gets a window from (plan/window_source.h). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "plan/shards.h"

namespace grove {

struct Window {
  std::size_t first = 0;  // chunk indexes, half-open; never empty
  std::size_t last = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(Window const&, Window const&) = default;
};

// One behind the other, over all of `slices`.
std::vector<Window> cut_windows(std::span<ChunkSlice const> slices);

}  // namespace grove
