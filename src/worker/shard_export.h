// One shard as a file of its own: a header that names only its tensors and their bytes for
// `.safetensors`, else the bytes alone. Nothing is built up: the header is written once into a
// spool, the bytes come chunk by chunk, so any range can be read in bounded memory.
// Not here: HTTP ranges (worker/byte_range.h).
// Threads: one at a time; blocks on the disk.
#pragma once

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "format/manifest.h"
#include "store/chunk_store.h"
#include "store/ref_store.h"
#include "worker/chunk_run.h"
#include "worker/spool.h"

namespace grove {

struct ShardWanted {
  CheckpointKey key;
  ShardIndex shard;
  std::optional<Generation> generation;  // none: the newest complete one
};

class ShardExport {
 public:
  // `spool_folder` is for a header that is too long for memory. The stores must outlive the export.
  // Fails: not_found (no such complete generation or shard here), corrupt (chunks are damaged),
  // exhausted (no room for the header).
  static Result<ShardExport> open(ChunkStore& chunks, RefStore const& refs,
                                  std::filesystem::path const& spool_folder,
                                  ShardWanted const& wanted);

  std::uint64_t bytes() const { return header_.size() + (end_ - begin_); }
  bool is_safetensors() const { return kind_ == CheckpointKind::safetensors; }

  // Some bytes of [offset, end) from `offset` on, at most one chunk's worth; offset < end <=
  // bytes().
  Result<ProvenBytes> read(std::uint64_t offset, std::uint64_t end) const;

 private:
  ShardExport(CheckpointKind kind, Spool header, ChunkRun run, std::uint64_t begin,
              std::uint64_t end);

  CheckpointKind kind_;
  Spool header_;
  ChunkRun run_;
  std::uint64_t begin_;  // of the shard, in the stored file
  std::uint64_t end_;
};

}  // namespace grove
