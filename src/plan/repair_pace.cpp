#include "plan/repair_pace.h"

#include <algorithm>

namespace grove {
namespace {

constexpr int rests_for_each_move = 4;
// A window takes a second and more on 100 Mb/s.
constexpr auto look_again_after = std::chrono::milliseconds(100);

}  // namespace

RepairPace::Clock::duration RepairPace::until_turn(TimePoint now, bool others_work) const {
  auto turn = allowed_from_;
  if (others_work) {
    turn = std::max(turn, rested_at_);
    if (moving_count_ > 0) turn = std::max(turn, now + look_again_after);
  }
  return std::max(turn - now, Clock::duration::zero());
}

void RepairPace::end_window(TimePoint now, std::uint64_t bytes, Clock::duration took,
                            bool others_work) {
  --moving_count_;
  if (bytes_per_second_) {
    std::chrono::duration<double> const owed(static_cast<double>(bytes) / *bytes_per_second_);
    allowed_from_ = std::max(allowed_from_, now - took) + std::chrono::ceil<Clock::duration>(owed);
  }
  if (others_work) rested_at_ = std::max(rested_at_, now) + rests_for_each_move * took;
}

}  // namespace grove
