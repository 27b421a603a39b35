// POST /verify?ckpt_path=: every copy of one checkpoint's newest complete generation, re-read now
// from the disks that have it, and the proof of each. Threads: the coordinator's executor.
#pragma once

#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "format/key.h"
#include "net/http_responder.h"

namespace grove {

// Streams a line for each copy, then "Done: …" where every shard has its copies, all proven, else
// "ERROR: …".
Awaitable<Result<void>> stream_checkpoint_verification(Services& services, Config config,
                                                       CheckpointKey key, HttpResponder& responder);

// Who mends what was found, in words.
std::string mended_by(Services const& services);

}  // namespace grove
