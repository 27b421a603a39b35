#include "worker/chunk_deltas.h"

#include <utility>

#include "format/chunk.h"
#include "format/delta.h"

namespace grove {
namespace {

Error damaged_base(Digest const& digest, Digest const& base, std::string_view remedy) {
  return fail(ErrorKind::conflict, "chunk {}: its base {} is damaged here; {}", digest.short_hex(),
              base.short_hex(), remedy);
}

// Fails: conflict (not here, damaged), or as ChunkStore::get().
Result<RawChunk> read_base(ChunkStore& chunks, Digest const& digest, Digest const& base,
                           std::string_view remedy) {
  auto raw = chunks.get_raw(base);
  if (raw) return raw;
  if (raw.error().kind == ErrorKind::not_found) return lacking_base(digest, base, remedy);
  if (raw.error().kind == ErrorKind::corrupt) return damaged_base(digest, base, remedy);
  return raw;
}

struct Rebuilt {
  Buffer memory;
  Codec store_as = Codec::raw;
};

// Lets both go when it is done. Fails: as decode_delta().
Result<Rebuilt> rebuild(Digest const& digest, RawChunk base, Buffer delta) {
  Rebuilt rebuilt;
  TRY(auto const decoded, decode_delta(delta.span(), base.bytes, digest, rebuilt.memory));
  rebuilt.store_as = decoded.store_as;
  return rebuilt;
}

}  // namespace

Error lacking_base(Digest const& digest, Digest const& base, std::string_view remedy) {
  return fail(ErrorKind::conflict, "chunk {}: its base {} is not here; {}", digest.short_hex(),
              base.short_hex(), remedy);
}

Result<void> keep_delta(ChunkStore& chunks, Digest const& digest, Digest const& base, Buffer delta,
                        CacheUse cache) {
  TRY(auto earlier, read_base(chunks, digest, base, send_whole));
  auto const rebuilt = rebuild(digest, std::move(earlier), std::move(delta));
  if (rebuilt.has_error()) {
    // Either it is a delta to another chunk, or these bytes are not the base's: sound by its
    // checksum, a chunk may still lie under a wrong name.
    bool const may_be_the_base = rebuilt.error().kind == ErrorKind::conflict;
    if (may_be_the_base && !chunks.verify(base)) return damaged_base(digest, base, send_whole);
    return rebuilt.error();
  }
  auto const encoded = encode_chunk(rebuilt.value().memory.span(), rebuilt.value().store_as);
  return chunks.put_proven(digest, encoded.span(), cache);
}

Result<Buffer> make_delta(ChunkStore& chunks, Digest const& digest, Digest const& base) {
  TRY(auto const chunk, chunks.get_raw(digest));
  TRY(auto const earlier, read_base(chunks, digest, base, ask_whole));
  if (chunk.bytes.size() != earlier.bytes.size()) {
    return fail(ErrorKind::conflict, "chunk {}: has {} bytes, its base {} has {}; {}",
                digest.short_hex(), chunk.bytes.size(), base.short_hex(), earlier.bytes.size(),
                ask_whole);
  }
  auto const bytes_max =
      static_cast<std::size_t>(delta_share_max * static_cast<double>(chunk.encoded_bytes));
  auto delta = encode_delta(chunk.bytes, earlier.bytes, ValueType::unknown, chunk.codec, bytes_max);
  if (!delta) {
    return fail(ErrorKind::conflict, "chunk {}: as a delta to {} it would hardly be smaller; {}",
                digest.short_hex(), base.short_hex(), ask_whole);
  }
  return std::move(*delta);
}

}  // namespace grove
