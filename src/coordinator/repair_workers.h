// The workers as a plan of repair, and a verdict, see them: as they answered just now, and as the
// watch has seen them. Threads: the coordinator's executor.
#pragma once

#include <span>
#include <vector>

#include "base/config.h"
#include "coordinator/members.h"
#include "coordinator/verdict.h"
#include "plan/repair_plan.h"

namespace grove {

// One that does not answer is gone once the watch has had it down for `repair_after`.
WorkerState state_of(Services const& services, Config const& config, Member const& member);

// One per worker of the config, in its order.
std::vector<RepairWorker> repair_workers(Services const& services, Config const& config,
                                         std::span<Member const> members);

Circumstances circumstances_of(Services const& services, Config const& config,
                               std::span<Member const> members);

}  // namespace grove
