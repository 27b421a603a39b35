// The wall clock as it stands in files and reports. It may jump: what must not go wrong when it
// does is timed by std::chrono::steady_clock instead. Threads: any.
#pragma once

#include <chrono>
#include <cstdint>

namespace grove {

// Nanoseconds since 1970, as in file times.
inline std::int64_t wall_clock_ns() {
  auto const since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count();
}

// Milliseconds since 1970.
inline std::int64_t wall_clock_ms() {
  auto const since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

}  // namespace grove
