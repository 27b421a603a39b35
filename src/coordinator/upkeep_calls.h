// The API's calls that keep the workers' copies honest: what should exist (PUT /expected) goes to
// every worker, and every worker re-reads what it holds (POST /verify).
// Not here: routes and parameters (api.h), the workers' side (worker/upkeep_calls.h).
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "net/http_responder.h"

namespace grove {

// Gives `list` to every worker. {"workers": [{"rank", "host", "kept", "detail"}, …]}
Awaitable<std::string> tell_expected(Services& services, Config config,
                                     std::span<std::byte const> list);

// Streams a line for each worker when it has re-read what it had not verified for
// `unproven_for` (paced; everything at full speed where there is none), a progress line whenever
// none came for limits::progress_period, and at the end "Done: …" when all workers have and found
// no damage, else "ERROR: …". When the client goes away the workers stop reading.
Awaitable<Result<void>> stream_verification(Services& services, Config config,
                                            std::optional<std::chrono::milliseconds> unproven_for,
                                            HttpResponder& responder);

}  // namespace grove
