// GET /shards/{identity}/{i}: one shard as a file, whole or a range of it.
// Threads: the worker's executor; disk and decoding are offloaded.
#pragma once

#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> get_shard(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);

}  // namespace grove
