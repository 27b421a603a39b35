// The parts of a request that many calls share: path arguments as values, the lease, the addressee.
// Threads: the worker's executor.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/digest.h"
#include "base/error.h"
#include "format/key.h"
#include "format/ref.h"
#include "net/http_server.h"
#include "worker/holdings.h"

namespace grove {

// A handler of one row of docs/worker-interface.md.
using WorkerCall = Awaitable<Result<void>> (*)(Holdings&, HttpRequest&, HttpResponder&);

// Refuses a call meant for another worker (`worker=`) and renews the lease of `job=`.
// Fails: conflict, invalid (an over-long job).
Result<void> admit(Holdings& holdings, HttpRequest const& request);
// Pins `digests` under the lease of `job=`; without one nothing is pinned.
void pin(Holdings& holdings, HttpRequest const& request, std::span<Digest const> digests);

// Notes that the job of `job=` has put this ref: what it puts does not outlast its failure.
void note_own(Holdings& holdings, HttpRequest const& request, Ref const& ref);

// Fail: invalid, naming what was given.
// The chunk that `?base=` names; none where the chunk travels whole.
Result<std::optional<Digest>> base_param(HttpRequest const& request);
Result<Digest> digest_argument(HttpRequest const& request, std::size_t index);
Result<CheckpointKey> key_argument(HttpRequest const& request, std::size_t index);
// The identity, generation and name of /refs/{}/{}/{}; the target is left empty.
Result<Ref> ref_arguments(HttpRequest const& request);

Awaitable<Result<void>> send_done(HttpResponder& responder);  // 204
// What came of writing to the disk: 204, or the failure, which may be the worker's end.
Awaitable<Result<void>> done_or_failed(Holdings& holdings, Result<void> kept,
                                       HttpResponder& responder);
Awaitable<Result<void>> send_json(HttpResponder& responder, std::string json);

}  // namespace grove
