#include "plan/placement.h"

#include <iterator>

#include <fmt/format.h>

namespace grove {

Result<std::vector<PlannedCopy>> place_copies(std::uint32_t shards_count, std::size_t workers_count,
                                              std::uint32_t redundancy) {
  if (redundancy == 0) {
    return fail(ErrorKind::invalid,
                "placing copies: redundancy is 0, so nothing would be kept; set it to 1 or more");
  }
  if (workers_count < redundancy) {
    return fail(ErrorKind::invalid,
                "placing copies: {} copies of every shard need as many different workers and there "
                "are {}; add workers or lower redundancy",
                redundancy, workers_count);
  }
  std::vector<PlannedCopy> copies;
  copies.reserve(std::size_t{shards_count} * redundancy);
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    for (std::uint32_t round = 0; round < redundancy; ++round) {
      copies.push_back({.shard = ShardIndex{shard},
                        .round = round,
                        .worker_index = (std::size_t{shard} + round) % workers_count});
    }
  }
  return copies;
}

std::string text(std::span<PlannedCopy const> copies) {
  std::string lines;
  for (PlannedCopy const& copy : copies) {
    fmt::format_to(std::back_inserter(lines), "shard {} round {} on worker {}\n", copy.shard.value,
                   copy.round, copy.worker_index);
  }
  return lines;
}

}  // namespace grove
