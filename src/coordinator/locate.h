// From what the workers hold to a manifest: which generations of a checkpoint are complete, and the
// manifest of one, from whoever has it. Used by store (what is there already) and gather.
// Threads: the coordinator's executor.
#pragma once

#include <cstddef>
#include <set>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/members.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "plan/gather_plan.h"

namespace grove {

// The manifest of `generation`, proven against its name, from the first holder that has it sound.
// Fails: not_found when it is unfinished; conflict when two different manifests carry the same
// number; what the last holder said. `silent`: holders (by index) that are not asked, and to which
// those that do not answer are added; for whoever fetches many.
Awaitable<Result<Manifest>> fetch_manifest(Services const& services, Config const& config,
                                           GenerationView const& generation,
                                           std::set<std::size_t>* silent = nullptr);

}  // namespace grove
