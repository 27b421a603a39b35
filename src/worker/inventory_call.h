// GET /refs: what this worker holds, page by page: tombstones first, then pins, then refs; with
// `verify=true` or `now` only after it has read the page's chunks from the disk, as a deletion
// elsewhere asks of its witnesses. Threads: the worker's executor; the disk is offloaded.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "store/pin_store.h"
#include "store/ref_store.h"
#include "transfer/worker_messages.h"
#include "worker/long_call.h"
#include "worker/request.h"

namespace grove {

// How long what was read counts as proven, for each ref from when its first chunk was read. A
// forgetting asks the same witnesses for each ref that goes: in an hour a slow disk reads 300 GB,
// so that even a long one reads them once; and disks do not lose what they gave so short a time ago
// more often than they lie.
inline constexpr std::chrono::milliseconds proof_lasts = std::chrono::hours(1);

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder);

struct InventoryQuery {
  RefSelection wanted;
  std::string after;
  std::size_t limit = 0;
  bool is_afresh = false;  // when re-reading: also what was read a short while ago
};

// At most `limit` of all kinds together. Tombstones and pins are left out where single names or a
// generation are asked for. Blocking. Fails: invalid (a cursor that no page has given).
Result<InventoryPage> read_inventory(RefStore const& refs, PinStore const& pins,
                                     InventoryQuery const& query);

// Re-reads the chunks of the page's refs, so that read_inventory() tells what the disk gives. Refs
// that were read as `proof_lasts` says, by this or by a scrub, are not read again, unless the query
// says so. Blocking; `keep_going` is asked between chunks. Fails: cancelled, or as a disk that
// cannot be read.
Result<void> reread_page(ChunkStore& chunks, RefStore& refs, InventoryPage const& page,
                         bool is_afresh, std::function<bool()> const& keep_going);

// All that is here of `wanted`, proven so. Waits for other proofs to end first.
Awaitable<Result<InventoryPage>> prove_held(Holdings& holdings, LongCall& call,
                                            RefSelection wanted);

}  // namespace grove
