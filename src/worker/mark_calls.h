// What a worker is told to remember besides its copies: what was forgotten on purpose (tombstones,
// which take the copies that they cover with them), what retention must leave alone (pins), and
// that it is to be emptied. Not here: forgetting one ref with witnesses (worker/deletion.h).
// Threads: the worker's executor; the disk is offloaded.
#pragma once

#include "worker/request.h"

namespace grove {

// With `?coordinator=` the rule of the second coordinator holds, as for every deletion.
Awaitable<Result<void>> put_tombstone(Holdings& holdings, HttpRequest& request,
                                      HttpResponder& responder);
Awaitable<Result<void>> put_pin(Holdings& holdings, HttpRequest& request, HttpResponder& responder);
Awaitable<Result<void>> put_drain(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder);
Awaitable<Result<void>> put_expected(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder);

}  // namespace grove
