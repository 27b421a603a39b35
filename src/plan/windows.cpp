#include "plan/windows.h"

#include <algorithm>
#include <numeric>

#include "base/limits.h"

namespace grove {

std::vector<Window> cut_windows(std::span<ChunkSlice const> slices) {
  auto bytes_left =
      std::accumulate(slices.begin(), slices.end(), std::uint64_t{0},
                      [](std::uint64_t sum, ChunkSlice const& slice) { return sum + slice.bytes; });
  std::vector<Window> windows;
  std::uint64_t wanted = 0;
  for (std::size_t index = 0; index < slices.size(); ++index) {
    std::uint64_t const bytes = slices[index].bytes;
    if (windows.empty() || windows.back().bytes + bytes > wanted) {
      windows.push_back({.first = index, .last = index, .bytes = 0});
      wanted = std::clamp(bytes_left / 2, limits::window_bytes_min, limits::window_bytes_max);
    }
    windows.back().last = index + 1;
    windows.back().bytes += bytes;
    bytes_left -= bytes;
  }
  return windows;
}

}  // namespace grove
