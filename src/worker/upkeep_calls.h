// A worker's own state and upkeep on request: /health, /scrub, /gc.
// Threads: the worker's executor.
#pragma once

#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> get_health(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder);
Awaitable<Result<void>> post_scrub(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder);
Awaitable<Result<void>> post_gc(Holdings& holdings, HttpRequest& request, HttpResponder& responder);

}  // namespace grove
