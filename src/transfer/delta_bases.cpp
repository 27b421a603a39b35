#include "transfer/delta_bases.h"

#include <utility>

namespace grove {

DeltaBases::DeltaBases(File earlier, DeltaPairs pairs, CacheUse cache)
    : earlier_(std::move(earlier)),
      pairs_(std::move(pairs)),
      trust_(pairs_.tensors_count()),
      cache_(cache) {}

std::optional<DeltaBase> DeltaBases::find(ChunkSlice const& slice) const {
  auto const base = pairs_.find(slice);
  if (!base || !trust_.allows(pairs_.tensor_of(slice))) return std::nullopt;
  return base;
}

Result<void> DeltaBases::read(DeltaBase const& base, std::span<std::byte> into) {
  GROVE_ASSERT(into.size() == base.raw_bytes);
  auto const read = earlier_.read_exactly_at(into, base.file_offset);
  if (cache_ == CacheUse::drop_behind) earlier_.drop_cache(base.file_offset, into.size());
  return read;
}

void DeltaBases::note(ChunkSlice const& slice, DeltaOutcome outcome) {
  trust_.note(pairs_.tensor_of(slice), outcome);
}

}  // namespace grove
