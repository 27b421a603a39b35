// The API's calls about what is kept: forgetting a checkpoint, pinning one, emptying a worker.
// Not here: routes (api.h), what comes of it (forget.h, marks.h, repair.h).
// Threads: the coordinator's executor.
#pragma once

#include <string>

#include "base/config.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "format/key.h"
#include "net/http_server.h"

namespace grove {

// Forgets it, or only the generation of `generation=`; with `force=true` also the last complete
// one. Answers with a line of text, "Done: …". Fails: as forget_as_asked(); invalid.
Awaitable<Result<void>> delete_checkpoint(Services& services, Jobs& jobs, Config config,
                                          CheckpointKey key, HttpRequest& request,
                                          HttpResponder& responder);

// Pins it, or no longer, on every worker that answers. → "Done: …" or "ERROR: …".
Awaitable<std::string> pin_checkpoint(Services& services, Config config, CheckpointKey key,
                                      bool is_pinned);

// Ends the emptying of a worker. → likewise.
Awaitable<std::string> undo_drain(Services& services, Config config, Rank rank);

}  // namespace grove
