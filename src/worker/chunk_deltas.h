// A chunk in and out of a worker's store as its difference to another chunk that the store holds
// (format/delta.h). On the disk a chunk is whole, whichever way it came.
//
// Nobody proves a base by its name: what is rebuilt with it is proven by its own, and only where
// that fails the base is looked at, so that one that has rotted does not stay.
// Memory: at most limits::delta_bodies_max chunk bodies at once, the delta given included.
// Threads: any; blocks on the disk, hashes and codes, so await it through net/offload.h.
#pragma once

#include <string_view>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/chunk_store.h"

namespace grove {

// What the other side is told to do where a delta cannot be.
inline constexpr std::string_view send_whole = "send it whole";
inline constexpr std::string_view ask_whole = "ask for it whole";

// The conflict that says that this worker has no such base.
Error lacking_base(Digest const& digest, Digest const& base, std::string_view remedy);

// Rebuilds the chunk `digest` from `delta` and `base`, encodes it with the codec that the delta
// names and keeps it, as ChunkStore::put() does.
// Fails: conflict (the base is not here or damaged, or the delta is to another one: send the chunk
// whole), corrupt (damaged, or not a delta), or as put().
Result<void> keep_delta(ChunkStore& chunks, Digest const& digest, Digest const& base, Buffer delta,
                        CacheUse cache = CacheUse::keep);

// The chunk `digest` as a delta to `base`, naming the codec it is stored with.
// Fails: conflict (the base is not here, damaged or of another length, or the delta would take more
// than delta_share_max of the chunk as it is stored: ask for it whole), or as ChunkStore::get().
Result<Buffer> make_delta(ChunkStore& chunks, Digest const& digest, Digest const& base);

}  // namespace grove
