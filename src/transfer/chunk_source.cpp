#include "transfer/chunk_source.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "net/task_group.h"

namespace grove {

Error changed_while_stored(std::filesystem::path const& path) {
  return fail(ErrorKind::conflict,
              "{} changed while it was being stored; store it again when it is written completely",
              path.string());
}

ChunkSource::ChunkSource(File file, Codec codec, Offload& offload)
    : file_(std::move(file)), codec_(codec), offload_(offload) {}

Result<SealedChunk> ChunkSource::seal(ChunkSlice slice) const {
  Buffer buffer(limits::chunk_header_bytes + slice.bytes);
  auto const raw = buffer.span().subspan(limits::chunk_header_bytes);
  if (auto read = file_.read_exactly_at(raw, slice.offset); read.has_error()) {
    if (read.error().kind == ErrorKind::corrupt) return changed_while_stored(file_.path());
    return std::move(read).error();
  }
  SealedChunk chunk;
  chunk.ref = {sha256(raw), slice.bytes};
  if (codec_ == Codec::raw) {
    seal_raw_chunk(buffer.span());
    chunk.encoded = std::move(buffer);
  } else {
    chunk.encoded = encode_chunk(raw, codec_);
  }
  return chunk;
}

Awaitable<Result<std::vector<SealedChunk>>> ChunkSource::read(std::span<ChunkSlice const> slices) {
  co_return co_await offload_.run([this, slices]() -> Result<std::vector<SealedChunk>> {
    std::vector<SealedChunk> chunks;
    chunks.reserve(slices.size());
    for (auto const& slice : slices) {
      TRY(auto chunk, seal(slice));
      chunks.push_back(std::move(chunk));
    }
    return chunks;
  });
}

Awaitable<Result<Digest>> ChunkSource::hash_file(std::uint64_t file_bytes) {
  Sha256 hash;
  Buffer buffer(limits::chunk_bytes_max);
  for (std::uint64_t offset = 0; offset < file_bytes;) {
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "hashing was stopped");
    auto const piece = buffer.span().first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file_bytes - offset)));
    auto read = co_await offload_.run([&]() -> Result<void> {
      TRY(file_.read_exactly_at(piece, offset));
      hash.update(piece);
      return ok();
    });
    if (read.has_error()) {
      if (read.error().kind == ErrorKind::corrupt) co_return changed_while_stored(file_.path());
      co_return std::move(read).error();
    }
    offset += piece.size();
  }
  co_return hash.finish();
}

}  // namespace grove
