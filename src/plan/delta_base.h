// Which chunk of an earlier checkpoint each chunk of a new one is a change of. Pure.
//
// A chunk's base lies at the same place of the same tensor of the earlier file, where "the same" is
// said by name, dtype and shape (LayoutTensor::fingerprint), and is as long. Tensors may have been
// reordered, added, removed or resized in between: what matters is that all tensors a chunk has
// bytes of have moved by the same distance. A wrong pair costs a chunk that is sent twice, never a
// byte: whoever rebuilds a chunk proves it by its name.
// Not here: which checkpoint is the earlier one (plan/earlier_checkpoint.h), whether deltas pay
// (plan/delta_trust.h). Threads: values; const calls from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/digest.h"
#include "format/manifest.h"
#include "format/safetensors.h"
#include "plan/shards.h"

namespace grove {

struct DeltaBase {
  Digest digest;
  std::uint64_t file_offset = 0;  // in the earlier file
  std::uint32_t raw_bytes = 0;
  friend bool operator==(DeltaBase const&, DeltaBase const&) = default;
};

class DeltaPairs {
 public:
  // `lists` are the earlier file's, as far as they could be had, in any order; neighbours may have
  // border chunks in common. Nothing of the arguments is kept: 48 bytes a chunk of the earlier
  // file, 8 a tensor that is not grouped, 24 for every run of tensors that moved together.
  DeltaPairs(SafetensorsLayout const& layout, SafetensorsLayout const& earlier,
             std::span<ShardList const> lists);

  // The base of a chunk of the new file. Nothing for headers.
  std::optional<DeltaBase> find(ChunkSlice const& slice) const;

  // Which tensor, below tensors_count(), a chunk of the new file's data lies in; neighbours that
  // are small enough to be grouped count as one.
  std::size_t tensor_of(ChunkSlice const& slice) const;
  std::size_t tensors_count() const { return tensors_.size(); }

  bool is_empty() const { return runs_.empty() || chunks_.empty(); }

 private:
  // Tensors that follow one another in both files. Offsets are file offsets.
  struct Run {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t earlier_begin = 0;
  };

  void pair_tensors(SafetensorsLayout const& layout, SafetensorsLayout const& earlier);
  void add_pair(Run pair);
  void keep_chunks(std::span<ShardList const> lists);
  void number_tensors(SafetensorsLayout const& layout);

  std::vector<Run> runs_;               // of the new file, ascending
  std::vector<DeltaBase> chunks_;       // of the earlier file, ascending
  std::vector<std::uint64_t> tensors_;  // where each begins, ascending
};

}  // namespace grove
