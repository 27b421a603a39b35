#include "transfer/chunk_source.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "net/task_group.h"

namespace grove {

Error changed_while_stored(std::filesystem::path const& path) {
  return fail(ErrorKind::conflict,
              "{} changed while it was being stored; store it again when it is written completely",
              path.string());
}

ChunkSource::ChunkSource(asio::any_io_executor executor, File file, CacheUse cache,
                         Offload& offload)
    : file_(std::move(file)), cache_(cache), offload_(offload), progressed_(std::move(executor)) {}

Result<void> ChunkSource::read_exactly(std::span<std::byte> bytes, std::uint64_t offset) {
  auto read = file_.read_exactly_at(bytes, offset);
  if (read.has_error() && read.error().kind == ErrorKind::corrupt) {
    return changed_while_stored(file_.path());
  }
  if (cache_ == CacheUse::drop_behind) file_.drop_cache(offset, bytes.size());
  return read;
}

Result<ReadChunk> ChunkSource::read_one(ChunkSlice slice) {
  ReadChunk chunk{
      .ref = {}, .slice = slice, .buffer = Buffer(limits::chunk_header_bytes + slice.bytes)};
  auto const raw = chunk.buffer.span().subspan(limits::chunk_header_bytes);
  TRY(read_exactly(raw, slice.offset));
  chunk.ref = {sha256(raw), slice.bytes};
  return chunk;
}

Awaitable<Result<std::vector<ReadChunk>>> ChunkSource::read(std::span<ChunkSlice const> slices) {
  auto chunks = co_await offload_.run([this, slices]() -> Result<std::vector<ReadChunk>> {
    std::vector<ReadChunk> read;
    read.reserve(slices.size());
    for (auto const& slice : slices) {
      TRY(auto chunk, read_one(slice));
      read.push_back(std::move(chunk));
    }
    return read;
  });
  for (auto const& slice : slices) read_bytes_ += slice.bytes;
  progressed_.notify_all();
  co_return chunks;
}

Awaitable<Result<Digest>> ChunkSource::hash_file(std::uint64_t file_bytes) {
  Sha256 hash;
  Buffer buffer(limits::chunk_bytes_max);
  for (std::uint64_t offset = 0; offset < file_bytes;) {
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "hashing was stopped");
    if (offset >= read_bytes_ + limits::hash_ahead_bytes_max) {
      std::ignore = co_await progressed_.wait();  // both ends of the wait are looked at above
      continue;
    }
    auto const piece = buffer.span().first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file_bytes - offset)));
    CO_TRY(co_await offload_.run([&]() -> Result<void> {
      TRY(read_exactly(piece, offset));
      hash.update(piece);
      return ok();
    }));
    offset += piece.size();
  }
  co_return hash.finish();
}

}  // namespace grove
