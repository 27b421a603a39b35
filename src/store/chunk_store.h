// The chunks one worker keeps: immutable, each named by the SHA-256 of its raw bytes.
// Format: docs/formats.md#chunk. Not here: which chunks should exist (store/collector.h), whether
// old ones still match their names (store/scrubber.h).
//
// A chunk that was put lies in tmp/ until the next sync(), which makes all of them durable and
// visible in chunks/ab/ (fdatasync each, rename, one fsync per touched folder): so whatever has its
// final name survives power loss, and a crash leaves nothing but tmp/, swept at start.
// Threads: any; every call may block on the disk, so await it through net/offload.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/codec.h"
#include "store/data_folder.h"

namespace grove {

// A chunk's raw bytes in the one piece of memory that holds them, and how it lay on the disk.
struct RawChunk {
  Buffer memory;
  std::span<std::byte const> bytes;
  Codec codec = Codec::raw;
  std::size_t encoded_bytes = 0;  // with its header
};

class ChunkStore {
 public:
  // `reserved_bytes` of the disk stay free: a put that would go below is `exhausted`.
  // `folder` must outlive the store.
  ChunkStore(DataFolder const& folder, std::uint64_t reserved_bytes);
  ~ChunkStore();
  ChunkStore(ChunkStore const&) = delete;
  ChunkStore& operator=(ChunkStore const&) = delete;

  // Keeps one encoded chunk. Idempotent: a chunk already here is not written again.
  // CacheUse::keep where somebody reads it soon: the first copy, which the others pull.
  // The chunk is readable at once but survives power loss only after the next sync().
  // Fails: corrupt (does not decode to `digest`), exhausted (disk full; nothing is left behind),
  // internal (an earlier sync failed, see sync()).
  Result<void> put(Digest const& digest, std::span<std::byte const> encoded,
                   CacheUse cache = CacheUse::keep);

  // As put(), of bytes that are known to decode to what `digest` names, because the caller made
  // them from raw bytes that it has just proven (decode_delta): nothing is hashed a second time.
  // Anything else would lie under a wrong name until somebody verifies it.
  // Fails: exhausted, internal.
  Result<void> put_proven(Digest const& digest, std::span<std::byte const> encoded, CacheUse cache);

  // The encoded chunk, checked against its checksum (not its name: the receiver does that).
  // Fails: not_found; corrupt: it is moved to quarantine/ and counts as absent from then on.
  Result<Buffer> get(Digest const& digest);
  // The same, decoded. Holds it encoded beside it while it decodes. Fails as get() does.
  Result<RawChunk> get_raw(Digest const& digest);
  // Reads it from the disk, not from the page cache, and proves its name, which its mtime then
  // tells. Returns the bytes read. Fails as get() does.
  Result<std::uint64_t> verify(Digest const& digest);

  // When it was last proven, in ns of the wall clock: when it was put, or verify() read it. None:
  // it is not here, durable.
  std::optional<std::int64_t> proven_ns(Digest const& digest) const;

  // A file no longer than a chunk's header counts as absent.
  bool has(Digest const& digest) const;
  // Those of `digests` that are not here, in their order, without repeats.
  std::vector<Digest> missing(std::span<Digest const> digests) const;
  // As missing(), but reads those that are here, so that a store does not rely on one that has
  // rotted: it goes to quarantine/ and counts as missing.
  std::vector<Digest> missing_or_damaged(std::span<Digest const> digests);

  // Makes every chunk that was put before the call durable, whoever put it.
  // A failure is final: the disk did not take what it was given, so nothing written since the last
  // good sync is trusted: every later put and sync is `internal` too, and the process must say so
  // and start again from the disk.
  Result<void> sync();
  bool is_poisoned() const;
  // How often the disk was asked to make something durable: once a chunk, once a folder.
  std::uint64_t disk_syncs_count() const;

  // Removes a chunk (collection). Removing what is not there is fine.
  Result<void> remove(Digest const& digest);
  // Chunks that were found damaged since this was opened.
  std::uint64_t damaged_count() const;
  // Grows whenever a chunk went away, so that "none is missing" may be remembered until then.
  std::uint64_t removals_count() const;

  // One of the 256 folders: what lies there, with its size on disk and its age. Durable chunks
  // only.
  struct StoredChunk {
    Digest digest;
    std::uint64_t bytes_on_disk = 0;
    std::int64_t mtime_ns = 0;
  };
  Result<std::vector<StoredChunk>> list(std::uint8_t prefix) const;

  // Space left above the reserve.
  Result<std::uint64_t> usable_bytes() const;
  std::uint64_t reserved_bytes() const;

 private:
  struct State;
  // Reads a chunk that looked damaged once more, alone, and quarantines it if it still is.
  Result<Buffer> read_again_or_quarantine(Digest const& digest);

  std::unique_ptr<State> state_;
};

}  // namespace grove
