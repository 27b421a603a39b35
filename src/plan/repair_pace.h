// When a repair may move its next window. It never takes more than `bandwidth_limit`, and while
// stores or gathers run one window moves at a time and then rests four times as long as it took: a
// fifth of the time is left to it. It also says when a round has gone on for long enough, so that
// what has been lost meanwhile can be planned for.
// Pure: whoever asks says what time it is. Threads: one at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace grove {

class RepairPace {
 public:
  using Clock = std::chrono::steady_clock;
  using TimePoint = Clock::time_point;

  // No more than so many bytes a second; nothing: as fast as it goes. Turns end at `until`.
  RepairPace(std::optional<double> bytes_per_second, TimePoint until)
      : bytes_per_second_(bytes_per_second), until_(until) {}

  bool is_over(TimePoint now) const { return now >= until_; }

  // How long until a window may be moved, at the least; zero: now. To be asked again after that:
  // others' work may have begun or ended.
  Clock::duration until_turn(TimePoint now, bool others_work) const;

  // Around each window.
  void begin_window() { ++moving_count_; }
  void end_window(TimePoint now, std::uint64_t bytes, Clock::duration took, bool others_work);

 private:
  std::optional<double> bytes_per_second_;
  TimePoint until_;
  TimePoint allowed_from_;  // by the limit
  TimePoint rested_at_;     // for others' sake
  std::size_t moving_count_ = 0;
};

}  // namespace grove
