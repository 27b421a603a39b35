// What workers are told to remember besides copies: what was forgotten on purpose, and pins. All of
// them are told; one that was away is told by the repair, which looks for who does not know yet.
// Threads: the coordinator's executor.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "coordinator/members.h"
#include "format/ref.h"
#include "net/asio.h"

namespace grove {

struct Told {
  std::vector<Rank> told;
  struct NotTold {
    std::size_t worker_index = 0;
    Error error;
  };
  std::vector<NotTold> not_told;
  // ""; "; rank 3 (pi4-3) is told when it answers: connection refused"
  std::string later(Config const& config) const;
};

// Of `members` those that answered are asked, all at once.
Awaitable<Told> tell(Services const& services, Config const& config,
                     std::span<Member const> members, Tombstone tombstone);
Awaitable<Told> tell(Services const& services, Config const& config,
                     std::span<Member const> members, Pin pin);

// What single workers do not know yet. Pure.
template <typename Mark>
struct UntoldMark {
  std::size_t worker_index = 0;
  Mark mark;
};
std::vector<UntoldMark<Tombstone>> untold_tombstones(ClusterView const& view);
std::vector<UntoldMark<Pin>> untold_pins(ClusterView const& view);

}  // namespace grove
