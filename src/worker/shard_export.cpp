#include "worker/shard_export.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "format/safetensors.h"
#include "format/shard_span.h"

namespace grove {
namespace {

struct Found {
  Ref manifest;
  Ref shard;
};

Result<Found> find_refs(RefStore const& refs, ShardWanted const& wanted) {
  std::optional<Ref> newest;
  for (Ref& ref : refs.all_refs()) {
    bool const is_asked_for = !wanted.generation || ref.generation == *wanted.generation;
    if (ref.key != wanted.key || ref.name.shard || !is_asked_for) continue;
    if (!newest || newest->generation < ref.generation) newest = std::move(ref);
  }
  if (!newest) {
    return fail(ErrorKind::not_found, "{}: no complete generation of it here; ask another worker",
                wanted.key.identity());
  }
  auto shard = refs.find(wanted.key, newest->generation, RefName{.shard = wanted.shard});
  if (!shard) {
    return fail(ErrorKind::not_found,
                "shard {} of {}: not here at generation {}; ask the workers that hold it",
                wanted.shard.value, wanted.key.identity(), newest->generation.value);
  }
  return Found{.manifest = std::move(*newest), .shard = std::move(*shard)};
}

Result<Spool> write_header(ChunkStore& chunks, RefStore const& refs, Manifest const& manifest,
                           ShardIndex shard, std::filesystem::path const& folder) {
  Spool spool(folder);
  if (manifest.kind == CheckpointKind::opaque) return spool;
  TRY(auto list, refs.list(manifest.header_list));
  ChunkRun const run(chunks, std::move(list));
  HeaderOpener const open = [&]() -> Result<ByteReader> { return reader_of(run); };
  ByteSink const sink = [&](std::span<std::byte const> bytes) { return spool.append(bytes); };
  TRY(write_shard_header(open, manifest.file_bytes, shard_span(manifest, shard), sink));
  return spool;
}

}  // namespace

ShardExport::ShardExport(CheckpointKind kind, Spool header, ChunkRun run, std::uint64_t begin,
                         std::uint64_t end)
    : kind_(kind), header_(std::move(header)), run_(std::move(run)), begin_(begin), end_(end) {}

Result<ShardExport> ShardExport::open(ChunkStore& chunks, RefStore const& refs,
                                      std::filesystem::path const& spool_folder,
                                      ShardWanted const& wanted) {
  TRY(auto const found, find_refs(refs, wanted));
  TRY(auto const manifest, refs.manifest(found.manifest.target));
  if (wanted.shard.value >= manifest.shards.size()) {
    return fail(ErrorKind::not_found, "shard {} of {}: it has {} shards", wanted.shard.value,
                wanted.key.identity(), manifest.shards.size());
  }
  ShardEntry const& entry = manifest.shards[wanted.shard.value];
  TRY(auto list, refs.list(found.shard.target));
  ChunkRun run(chunks, std::move(list));
  if (entry.begin < entry.end && (entry.begin < run.begin() || entry.end > run.end())) {
    return fail(ErrorKind::corrupt, "shard {} of {}: its list does not cover it",
                wanted.shard.value, wanted.key.identity());
  }
  TRY(auto header, write_header(chunks, refs, manifest, wanted.shard, spool_folder));
  return ShardExport(manifest.kind, std::move(header), std::move(run), entry.begin, entry.end);
}

Result<ProvenBytes> ShardExport::read(std::uint64_t offset, std::uint64_t end) const {
  GROVE_ASSERT(offset < end && end <= bytes());
  if (offset < header_.size()) {
    auto const count = std::min({end, header_.size(), offset + limits::chunk_bytes_max}) - offset;
    ProvenBytes piece;
    piece.scratch = Buffer(count);
    TRY(header_.read_at(piece.scratch.span(), offset));
    piece.bytes = piece.scratch.span();
    return piece;
  }
  TRY(auto piece, run_.read(begin_ + (offset - header_.size())));
  piece.bytes = piece.bytes.first(std::min<std::uint64_t>(piece.bytes.size(), end - offset));
  return piece;
}

}  // namespace grove
