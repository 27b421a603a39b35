// The worker's interface (docs/worker-interface.md) as a routing table, one handler a row.
// Threads: the worker's executor.
#pragma once

#include "net/http_server.h"
#include "worker/holdings.h"

namespace grove {

// `holdings` must outlive the router.
HttpRouter worker_routes(Holdings& holdings);

}  // namespace grove
