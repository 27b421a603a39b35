// From what the workers hold to a manifest: which generations of a checkpoint are complete, and the
// manifest of one, from whoever has it. Used by store (what is there already) and gather.
// Threads: the coordinator's executor.
#pragma once

#include "base/config.h"
#include "base/error.h"
#include "coordinator/members.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "plan/gather_plan.h"

namespace grove {

// The manifest of `generation`, proven against its name, from the first holder that has it sound.
// Fails: not_found when it is unfinished; conflict when two different manifests carry the same
// number; what the last holder said.
Awaitable<Result<Manifest>> fetch_manifest(Services const& services, Config const& config,
                                           GenerationView const& generation);

}  // namespace grove
