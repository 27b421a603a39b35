// Finds the earlier checkpoint whose chunks a store's deltas are made against: of those of the same
// run that are complete on the workers, the newest whose file is still on this disk, unchanged.
//
// Never in the way of a store: what cannot be had, or not in time, means no deltas and no error.
// Not here: which checkpoints are of one run (plan/earlier_checkpoint.h), which chunks belong
// together (plan/delta_base.h). Threads: the job's executor; disk and parsing are offloaded.
#pragma once

#include <chrono>
#include <memory>
#include <span>

#include "base/config.h"
#include "base/limits.h"
#include "coordinator/members.h"
#include "format/key.h"
#include "format/safetensors.h"
#include "net/asio.h"
#include "transfer/delta_bases.h"

namespace grove {

// Null where there is none, where the config switches deltas off, and where the headers are so
// large that two of them would take too much memory (limits::delta_header_bytes_max). `members`:
// those that did not answer before are not asked. All arguments must outlive the call; it takes no
// longer than `patience`, but for a header that is being parsed.
Awaitable<std::unique_ptr<DeltaBases>> find_delta_bases(
    Services const& services, Config const& config, CheckpointKey key,
    std::span<Member const> members, SafetensorsLayout const& layout,
    std::chrono::milliseconds patience = limits::delta_search_timeout);

}  // namespace grove
