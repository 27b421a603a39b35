// What a worker says it holds: shard lists, manifests, refs.
// Not here: the inventory (worker/inventory_call.h), forgetting (worker/deletion.h,
// worker/mark_calls.h).
// Threads: the worker's executor; disk and hashing are offloaded.
#pragma once

#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> put_list(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder);
Awaitable<Result<void>> get_list(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder);
Awaitable<Result<void>> put_manifest(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder);
Awaitable<Result<void>> get_manifest(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder);
Awaitable<Result<void>> put_ref(Holdings& holdings, HttpRequest& request, HttpResponder& responder);

}  // namespace grove
