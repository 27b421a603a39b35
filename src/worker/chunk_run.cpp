#include "worker/chunk_run.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "format/chunk.h"

namespace grove {

ChunkRun::ChunkRun(ChunkStore& chunks, ShardList list) : chunks_(chunks), list_(std::move(list)) {
  ends_.reserve(list_.chunks.size());
  std::uint64_t end = list_.file_offset;
  for (ChunkRef const& chunk : list_.chunks) ends_.push_back(end += chunk.raw_bytes);
}

Result<ProvenBytes> ChunkRun::read(std::uint64_t offset) const {
  GROVE_ASSERT(offset >= begin() && offset < end());
  auto const after = std::upper_bound(ends_.begin(), ends_.end(), offset);
  ChunkRef const& chunk = list_.chunks[static_cast<std::size_t>(after - ends_.begin())];
  auto encoded = chunks_.get(chunk.digest);
  if (!encoded) {
    // Its list is here, so to whoever wants the whole this copy is damaged.
    bool const is_absent = encoded.error().kind == ErrorKind::not_found;
    return Error{is_absent ? ErrorKind::corrupt : encoded.error().kind, encoded.error().message};
  }
  ProvenBytes piece;
  piece.encoded = std::move(encoded).value();
  TRY(auto const raw, decode_chunk(piece.encoded.span(), chunk.digest, piece.scratch));
  if (raw.size() != chunk.raw_bytes) {
    return fail(ErrorKind::corrupt, "chunk {}: has {} bytes, its list says {}",
                chunk.digest.short_hex(), raw.size(), chunk.raw_bytes);
  }
  piece.bytes = raw.last(static_cast<std::size_t>(*after - offset));
  return piece;
}

ByteReader reader_of(ChunkRun const& run) {
  struct Position {
    std::uint64_t offset;
    ProvenBytes piece;
  };
  auto position = std::make_shared<Position>(Position{run.begin(), {}});
  return [&run, position](std::span<std::byte> into) -> Result<std::size_t> {
    if (position->piece.bytes.empty()) {
      if (position->offset == run.end()) return std::size_t{0};
      position->piece = {};  // its memory first: two pieces are never held
      TRY(position->piece, run.read(position->offset));
    }
    auto& rest = position->piece.bytes;
    auto const count = std::min(into.size(), rest.size());
    if (count > 0) std::memcpy(into.data(), rest.data(), count);
    rest = rest.subspan(count);
    position->offset += count;
    return count;
  };
}

}  // namespace grove
