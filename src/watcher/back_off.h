// How long to wait after one more failure. Threads: values.
#pragma once

#include <algorithm>
#include <chrono>

namespace grove {

// `pause` is what was waited last, zero for nothing yet: then `first`, else twice as long, up to
// `last`.
inline std::chrono::milliseconds longer_pause(std::chrono::milliseconds pause,
                                              std::chrono::milliseconds first,
                                              std::chrono::milliseconds last) {
  return pause.count() == 0 ? first : std::min(2 * pause, last);
}

}  // namespace grove
