// Tensors → shards and chunks. Pure: the same layout gives the same plan on every machine.
//
// Shards: N contiguous runs of whole tensors in file order, cut so that the largest is as small as
// it can be (binary search on the largest size, greedy fill). Opaque files: equal byte ranges.
// Chunks: a tensor of group_bytes_max or more is cut from its own start in pieces of
// chunk_bytes_max; smaller neighbours are grouped until the next would exceed group_bytes_max. So
// chunks depend on the tensor sequence alone; one that a shard border cuts through is in the lists
// of both shards (at most group_bytes_max a border; docs/decisions/0002).
// Opaque files: a grid of bit_floor(size / opaque_chunks_count), within [64 KiB, 4 MiB].
// Not here: which worker gets what (plan/placement.h). Threads: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/manifest.h"
#include "format/safetensors.h"
#include "format/value_type.h"

namespace grove {

// A piece of the file that becomes one chunk; offsets are file offsets.
struct ChunkSlice {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  // Of the tensors it has bytes of, where they are all of one kind; of anything else `unknown`.
  ValueType values = ValueType::unknown;
  friend bool operator==(ChunkSlice const&, ChunkSlice const&) = default;
};

struct ShardPlan {
  std::uint64_t begin = 0;  // file offsets, half-open, whole tensors
  std::uint64_t end = 0;
  std::uint64_t tensors_count = 0;
  std::vector<ChunkSlice> chunks;  // cover [begin, end), contiguous; none for an empty shard
};

struct FilePlan {
  CheckpointKind kind = CheckpointKind::opaque;
  std::uint64_t file_bytes = 0;
  std::uint64_t header_bytes = 0;
  std::uint64_t tensors_count = 0;
  std::vector<ChunkSlice> header_chunks;  // the header on a grid of chunk_bytes_max
  std::vector<ShardPlan> shards;

  // One line per shard, for golden tests and `--dry-run`.
  std::string text() const;
};

// `shards_count` >= 1.
FilePlan plan_safetensors(SafetensorsLayout const& layout, std::uint32_t shards_count);
FilePlan plan_opaque(std::uint64_t file_bytes, std::uint32_t shards_count);

}  // namespace grove
