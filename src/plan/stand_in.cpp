#include "plan/stand_in.h"

#include <tuple>

namespace grove {

std::optional<std::size_t> choose_stand_in(std::span<StandInCandidate const> workers,
                                           std::size_t failed, std::uint64_t shard_bytes) {
  auto const rank_of = [&](std::size_t index) {
    auto const& worker = workers[index];
    return std::tuple(!worker.holds_shard, worker.room_bytes < shard_bytes, worker.taken_bytes);
  };
  std::optional<std::size_t> chosen;
  for (std::size_t step = 1; step < workers.size(); ++step) {
    auto const index = (failed + step) % workers.size();
    if (!workers[index].is_fit) continue;
    if (!chosen || rank_of(index) < rank_of(*chosen)) chosen = index;
  }
  return chosen;
}

}  // namespace grove
