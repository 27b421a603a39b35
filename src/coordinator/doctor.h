// Looks at a cluster from outside, as grove doctor needs it: the API, every worker at its address,
// the network, ckpt_root. Asks everybody itself, so a coordinator that is down hides nothing.
// Not here: what is wrong with what it finds (doctor_checks.h).
// Threads: the caller's executor.
#pragma once

#include "coordinator/doctor_checks.h"
#include "net/asio.h"
#include "net/http_call.h"

namespace grove {

// All that can be learned within seconds. `api`: where the config has it.
Awaitable<DoctorFacts> look_at_cluster(Config config, Endpoint api);

}  // namespace grove
