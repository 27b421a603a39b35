// Whether deltas are still worth trying, tensor by tensor. Pure.
//
// Three refusals in a row end deltas for a tensor: its bases are not where they should be, and
// every refused delta is sent for nothing. So do four chunks in a row of which the delta was hardly
// smaller than the chunk would have been without: the tensor has changed too much. And where
// refusals follow one another from tensor to tensor, the earlier file is not what it was when it
// was stored, and deltas end for all of them. What was given up stays given up.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/limits.h"

namespace grove {

enum class DeltaOutcome {
  sent,      // and taken
  refused,   // it had to be sent again whole, or its base could not be read
  no_profit  // not sent: it would not have been smaller
};

class DeltaTrust {
 public:
  static constexpr std::uint8_t refusals_max = limits::delta_refusals_max;
  static constexpr std::uint8_t unprofitable_max = 4;
  static constexpr std::uint8_t refusals_of_all_max = 16;

  // Two bytes a tensor.
  explicit DeltaTrust(std::size_t tensors_count) : streaks_(tensors_count) {}

  // `tensor` is below tensors_count, as DeltaPairs::tensor_of numbers them.
  void note(std::size_t tensor, DeltaOutcome outcome);
  bool allows(std::size_t tensor) const;

 private:
  // In a row, to this day; at its limit it stays there.
  struct Streaks {
    std::uint8_t refusals = 0;
    std::uint8_t unprofitable = 0;
  };
  static bool is_over(Streaks streaks) {
    return streaks.refusals == refusals_max || streaks.unprofitable == unprofitable_max;
  }

  std::vector<Streaks> streaks_;
  std::uint8_t refusals_of_all_ = 0;
};

}  // namespace grove
