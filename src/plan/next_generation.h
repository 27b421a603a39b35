// The number of a new generation. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "format/manifest.h"

namespace grove {

// The clock in ms; where the newest one known is not older than that, because a clock went back, a
// few more than that one. A few and not one: what another store began under the next number may lie
// on a worker that does not answer now, and the same number with other content would be in its way
// for good. `random`: any number.
Generation next_generation(std::optional<Generation> newest_known, std::uint64_t clock_ms,
                           std::uint64_t random);

}  // namespace grove
