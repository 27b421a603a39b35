// POST /pull: fetch these chunks from that worker. The one movement between workers: replication
// today, repair and hand-back later.
// Threads: the worker's executor.
#pragma once

#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> post_pull(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);

}  // namespace grove
