// A shard list read as bytes: the chunks that lie one behind the other in a stored file, proven
// against their names as they are read. Threads: one at a time; blocks on the disk.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "format/manifest.h"
#include "format/safetensors.h"
#include "store/chunk_store.h"

namespace grove {

// A part of one chunk's raw bytes, with the memory it views into: at most two chunks' worth.
struct ProvenBytes {
  Buffer encoded;
  Buffer scratch;
  std::span<std::byte const> bytes;
};

class ChunkRun {
 public:
  // `chunks` must outlive the run.
  ChunkRun(ChunkStore& chunks, ShardList list);

  // File offsets of the first byte and behind the last.
  std::uint64_t begin() const { return list_.file_offset; }
  std::uint64_t end() const { return ends_.empty() ? begin() : ends_.back(); }

  // The bytes from `offset`, which must lie in [begin, end), to the end of the chunk they are in.
  // Fails: corrupt (the chunk is damaged or not here).
  Result<ProvenBytes> read(std::uint64_t offset) const;

 private:
  ChunkStore& chunks_;
  ShardList list_;
  std::vector<std::uint64_t> ends_;  // of each chunk
};

// Reads a run from its begin, as a stream. `run` must outlive the reader.
ByteReader reader_of(ChunkRun const& run);

}  // namespace grove
