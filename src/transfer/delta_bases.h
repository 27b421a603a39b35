// The earlier checkpoint's file, read beside the new one: for each chunk of the new file the bytes
// it is a change of, as long as deltas of its tensor are worth trying.
//
// What is read here is not proven: a file that was overwritten since it was stored gives a wrong
// base, the worker refuses the delta, and after a few refusals no more are tried.
// Not here: which chunk is a change of which (plan/delta_base.h), making and sending deltas
// (transfer/chunk_sender.h). Threads: find() and note() on the job's executor; read() from any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "plan/delta_base.h"
#include "plan/delta_trust.h"
#include "plan/shards.h"

namespace grove {

class DeltaBases {
 public:
  // `cache`: what becomes of what is read of the earlier file.
  DeltaBases(File earlier, DeltaPairs pairs, CacheUse cache);

  // None for headers, for what is not in the earlier file, and where deltas of a tensor were given
  // up.
  std::optional<DeltaBase> find(ChunkSlice const& slice) const;
  // Reads base.raw_bytes, which `into` must have. Blocking.
  // Fails: corrupt (the file has become shorter); errors of the disk.
  Result<void> read(DeltaBase const& base, std::span<std::byte> into);
  // What came of the delta of a slice for which find() gave a base.
  void note(ChunkSlice const& slice, DeltaOutcome outcome);

 private:
  File earlier_;
  DeltaPairs pairs_;
  DeltaTrust trust_;
  CacheUse cache_;
};

}  // namespace grove
