// Chunks in and out of one worker: /chunks/missing, /chunks/{sha256}, /pull, /sync.
// Threads: the worker's executor; disk and hashing are offloaded.
#pragma once

#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> post_missing(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder);
Awaitable<Result<void>> put_chunk(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);
Awaitable<Result<void>> get_chunk(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);
Awaitable<Result<void>> post_sync(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);

}  // namespace grove
