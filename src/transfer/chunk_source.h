// The checkpoint file that is being stored: read in slices and hashed on a pool thread, so that the
// event loop never waits for the disk or the CPU.
//
// The whole file's SHA-256 is a second reader beside the shards' (docs/decisions/0003): a SHA-256
// can only be made in the file's order, while the shards are read side by side.
// Not here: how a chunk is encoded (transfer/chunk_sender.h), what is sent where (transfer/push.h),
// how much is held at once (the caller's permits).
// Threads: the executor of the job; one source may be read by several tasks at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/signal.h"
#include "plan/shards.h"

namespace grove {

struct ReadChunk {
  ChunkRef ref;
  ChunkSlice slice;
  Buffer buffer;  // room for a chunk's header, then the raw bytes: sealed raw without a copy

  std::span<std::byte const> raw() const {
    return buffer.span().subspan(limits::chunk_header_bytes);
  }
};

class ChunkSource {
 public:
  // `offload` must outlive the source.
  ChunkSource(asio::any_io_executor executor, File file, CacheUse cache, Offload& offload);

  // Reads and hashes the slices in their order. `slices` must live until the await ends.
  // Fails: conflict when the file has become shorter; errors of the disk.
  Awaitable<Result<std::vector<ReadChunk>>> read(std::span<ChunkSlice const> slices);

  // SHA-256 of the first `file_bytes`, in one sequential pass, one buffer at a time. Goes no more
  // than hash_ahead_bytes_max ahead of what was read in slices, all counted together, so that it
  // takes from the disk and the CPU what the store's own speed needs.
  // Fails: as read(); cancelled.
  Awaitable<Result<Digest>> hash_file(std::uint64_t file_bytes);

  File const& file() const { return file_; }

 private:
  Result<void> read_exactly(std::span<std::byte> bytes, std::uint64_t offset);
  Result<ReadChunk> read_one(ChunkSlice slice);

  File file_;
  CacheUse cache_;
  Offload& offload_;
  std::uint64_t read_bytes_ = 0;  // in slices
  Signal progressed_;
};

// What a file that shrank or changed under a store is told.
Error changed_while_stored(std::filesystem::path const& path);

}  // namespace grove
