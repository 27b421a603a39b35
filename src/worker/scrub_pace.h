// How fast a scrub that nobody waits for may read: slowly on an idle worker, hardly at all beside
// a transfer. A transfer never waits for it: what it takes from one is a chunk read now and then.
// Threads: TransferActivity any; ScrubPace the scrub's own, which it puts to sleep.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "store/scrubber.h"

namespace grove {

// When a chunk last came in or went out.
class TransferActivity {
 public:
  void note();
  // No chunk for limits::scrub_quiet.
  bool is_quiet() const;

 private:
  std::atomic<std::chrono::steady_clock::time_point> last_{};
};

class ScrubPace {
 public:
  // Both must outlive the pace. `is_wanted` is asked several times a second.
  ScrubPace(TransferActivity const& transfers, std::function<bool()> const& is_wanted)
      : transfers_(transfers), is_wanted_(is_wanted) {}

  // Sleeps until the next chunk may be read: at limits::scrub_bytes_per_second on average, and
  // while there are transfers only every limits::scrub_busy_pause; as on an idle worker where the
  // chunk must not wait. False once nobody wants it.
  enum class Haste { none, near_deadline };
  bool wait_for_turn(ScrubReport const& so_far, Haste haste = Haste::none);

 private:
  bool sleep_until(std::chrono::steady_clock::time_point due) const;

  TransferActivity const& transfers_;
  std::function<bool()> const& is_wanted_;
  std::chrono::steady_clock::time_point due_ = std::chrono::steady_clock::now();
  std::uint64_t bytes_before_ = 0;
};

}  // namespace grove
