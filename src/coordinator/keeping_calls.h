// The API's calls about what is kept: pinning a checkpoint, and ending the emptying of a worker.
// Not here: routes (api.h), what comes of it (forget.h, marks.h, repair.h).
// Threads: the coordinator's executor.
#pragma once

#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "format/key.h"

namespace grove {

// Pins it, or no longer, on every worker that answers. → "Done: …" or "ERROR: …", also where
// nothing of it is stored.
Awaitable<std::string> pin_checkpoint(Services& services, Config config, CheckpointKey key,
                                      bool is_pinned);

// Ends the emptying of a worker. → likewise.
Awaitable<std::string> undo_drain(Services& services, Config config, Rank rank);

}  // namespace grove
