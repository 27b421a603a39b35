// The checkpoint file that is being stored: read in slices, each hashed and sealed as a chunk on a
// pool thread, so that the event loop never waits for the disk or the CPU.
//
// The whole file's SHA-256 is a second reader beside the shards' (docs/decisions/0003): a SHA-256
// can only be made in the file's order, while the shards are read side by side.
// Not here: what is sent where (transfer/push.h), how much is held at once (the caller's permits).
// Threads: the executor of the job; one source may be read by several tasks at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "format/chunk.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/offload.h"
#include "plan/shards.h"

namespace grove {

struct SealedChunk {
  ChunkRef ref;
  Buffer encoded;
};

class ChunkSource {
 public:
  // `offload` must outlive the source.
  ChunkSource(File file, Codec codec, Offload& offload);

  // Reads, hashes and encodes the slices in their order. `slices` must live until the await ends.
  // Fails: conflict when the file has become shorter; errors of the disk.
  Awaitable<Result<std::vector<SealedChunk>>> read(std::span<ChunkSlice const> slices);

  // SHA-256 of the first `file_bytes`, in one sequential pass, one buffer at a time.
  // Fails: as read(); cancelled.
  Awaitable<Result<Digest>> hash_file(std::uint64_t file_bytes);

  File const& file() const { return file_; }

 private:
  Result<SealedChunk> seal(ChunkSlice slice) const;

  File file_;
  Codec codec_;
  Offload& offload_;
};

// What a file that shrank or changed under a store is told.
Error changed_while_stored(std::filesystem::path const& path);

}  // namespace grove
