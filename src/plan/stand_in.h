// Which live worker keeps a copy of a shard for one that cannot take it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace grove {

// One worker of the config, in its order, as a candidate for one shard's copy.
struct StandInCandidate {
  bool is_fit = false;            // it answers, has not failed in this job, and has no copy to make
  bool holds_shard = false;       // of an earlier store: most of it need not be moved
  std::uint64_t room_bytes = 0;   // beyond what it has taken in this job
  std::uint64_t taken_bytes = 0;  // of other copies that it stands in for in this job
};

// The fit one that holds the shard; else one with room for `shard_bytes`, where there is one; among
// equals who takes least so far, then the next after `failed` in the ring. Nothing: nobody is fit.
std::optional<std::size_t> choose_stand_in(std::span<StandInCandidate const> workers,
                                           std::size_t failed, std::uint64_t shard_bytes);

}  // namespace grove
