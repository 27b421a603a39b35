#include "coordinator/repair_workers.h"

#include <chrono>

#include "base/limits.h"
#include "base/wall_clock.h"

namespace grove {

WorkerState state_of(Services const& services, Config const& config, Member const& member) {
  if (member.health) return WorkerState::there;
  auto const* watched = services.presences.find(config.workers[member.worker_index].rank);
  bool const is_gone = watched != nullptr && watched->presence == Presence::down &&
                       Presences::Clock::now() - watched->since >= config.repair_after;
  return is_gone ? WorkerState::gone : WorkerState::away;
}

std::vector<RepairWorker> repair_workers(Services const& services, Config const& config,
                                         std::span<Member const> members) {
  std::vector<RepairWorker> workers;
  for (auto const& member : members) {
    RepairWorker worker;
    worker.state = state_of(services, config, member);
    auto const* watched = services.presences.find(config.workers[member.worker_index].rank);
    if (!member.health && watched != nullptr && watched->presence == Presence::down) {
      auto const away = std::chrono::duration_cast<std::chrono::milliseconds>(
          Presences::Clock::now() - watched->since + limits::watch_period);
      worker.away_since_ms = static_cast<std::uint64_t>(wall_clock_ms() - away.count());
    }
    if (member.health && member.health->free_bytes > member.health->reserved_bytes) {
      worker.room_bytes = member.health->free_bytes - member.health->reserved_bytes;
    }
    worker.is_draining = member.health && member.health->is_draining;
    workers.push_back(worker);
  }
  return workers;
}

Circumstances circumstances_of(Services const& services, Config const& config,
                               std::span<Member const> members) {
  Circumstances circumstances{.workers = repair_workers(services, config, members),
                              .hosts = {},
                              .redundancy = config.redundancy,
                              .repairs_by_itself = services.repairs_by_itself,
                              .repair_after = config.repair_after};
  for (auto const& worker : config.workers) circumstances.hosts.push_back(worker.host);
  return circumstances;
}

}  // namespace grove
