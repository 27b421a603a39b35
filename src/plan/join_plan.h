// Which rank and port each joining worker gets. Pure: the same joins in the same order, the same
// config.
// Threads: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"

namespace grove {

struct Joiner {
  std::string host;                   // its machine's name
  std::string ip;                     // where others reach it
  std::optional<Rank> remembered;     // that its data folder belongs to
  std::optional<std::uint16_t> port;  // it wants to listen on
};

struct TakenAddress {
  std::string ip;
  std::uint16_t port = 0;
};

inline constexpr std::uint16_t first_worker_port = 5001;  // of rank 1, as in the reference

// One entry per joiner, in their order. A rank that a data folder remembers is kept; a joiner with
// the host name of an entry of `existing` that nobody else holds gets that entry's rank; the others
// get the lowest free ranks in the order they joined. The port is the one wanted, else that of the
// rank's entry in `existing`, else 5000 + rank, moved up where that would put two on one address or
// one on an address that is `taken`.
// Fails: conflict (two joiners remember one rank, or the port that one wants is taken), exhausted
// (no port is left).
Result<std::vector<DeviceConfig>> plan_join(std::span<DeviceConfig const> existing,
                                            std::span<Joiner const> joiners,
                                            std::span<TakenAddress const> taken);

}  // namespace grove
