#include "plan/next_generation.h"

#include <algorithm>

namespace grove {
namespace {

constexpr std::uint64_t spread = 1000;

}  // namespace

Generation next_generation(std::optional<Generation> newest_known, std::uint64_t clock_ms,
                           std::uint64_t random) {
  auto const clock = std::max<std::uint64_t>(1, clock_ms);
  if (!newest_known || newest_known->value < clock) return {clock};
  return {newest_known->value + 1 + random % spread};
}

}  // namespace grove
