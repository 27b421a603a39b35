// GET /refs: what this worker holds, page by page; with `verify=true` or `now` only after it has
// read the page's chunks from the disk, as a deletion elsewhere asks of its witnesses. Threads: the
// worker's executor; the disk is offloaded.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "store/pin_store.h"
#include "store/ref_store.h"
#include "transfer/worker_messages.h"
#include "worker/request.h"

namespace grove {

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder);

struct InventoryQuery {
  RefSelection wanted;
  std::string after;
  std::size_t limit = 0;
  bool is_afresh = false;  // when re-reading: also what was read a short while ago
};

// Blocking.
Result<InventoryPage> read_inventory(RefStore const& refs, PinStore const& pins,
                                     InventoryQuery const& query);

// Re-reads the chunks of the page's refs, so that read_inventory() tells what the disk gives. Refs
// that were read within the last minutes, by this or by a scrub, are not read again, unless the
// query says so. Blocking; `keep_going` is asked between chunks. Fails: cancelled, or as a disk
// that cannot be read.
Result<void> reread_page(ChunkStore& chunks, RefStore& refs, InventoryQuery const& query,
                         std::function<bool()> const& keep_going);

}  // namespace grove
