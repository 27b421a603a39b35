// What a training step makes of 16-bit weights, for tests of deltas. Threads: values.
#pragma once

#include "format/weights_fixture.h"

namespace grove {

// A fifth of the bit patterns are one more or less; another seed changes others.
inline Bytes next_step(Bytes const& weights, std::uint64_t seed = 9) {
  Random random(seed);
  Bytes next = weights;
  for (std::size_t i = 0; i + 1 < next.size(); i += 2) {
    if (random.uniform() < 0.2) next[i] ^= std::byte{1};
  }
  return next;
}

}  // namespace grove
