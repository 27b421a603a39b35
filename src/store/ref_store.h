// What one worker says it holds: shard lists, manifests and the refs that name them, tombstones,
// the list of what should exist. One of the only two places that make something visible (the other
// is transfer/checkpoint_writer.h): a ref is written last, durably, when all it names is durable.
// A small index of refs is kept in memory (store/ref_index.h), read at start; lists and chunks are
// not scanned.
// The files: store/ref_files.h, store/object_store.h. Not here: what may go (store/collector.h).
// Format: docs/formats.md. Threads: any; calls block on the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "store/chunk_store.h"
#include "store/data_folder.h"
#include "store/ref_index.h"

namespace grove {

struct InventoryEntry {
  Ref ref;
  // Chunks it names that are not here, durable; 1 where its list or manifest itself cannot be read.
  std::uint64_t missing_count = 0;
  std::uint64_t bytes = 0;  // raw bytes of its list (a manifest ref: of the header list)
  // When all of it was last known to be good, in ms of the wall clock: put, or re-read. None: not
  // known yet, or not so.
  std::optional<std::int64_t> verified_ms{};
};

// What one ref leads to on this worker: its list (a manifest ref: the header's) and that one's
// chunks.
struct RefReach {
  Digest list;
  std::vector<ChunkRef> chunks;
};

// The outcome of put_ref when chunks are lacking: they are to be sent again.
struct PutRefOutcome {
  std::vector<Digest> missing;  // empty: the ref is durable
};

// Why a ref may go: somebody else was proven to hold what it does, or its generation was never
// finished, so that nobody was promised anything.
enum class RefRemoval { is_proven, is_unfinished };

class RefStore {
 public:
  // Reads the index of refs and tombstones. Damaged ref files go to quarantine with a log line.
  static Result<std::unique_ptr<RefStore>> open(DataFolder const& folder, ChunkStore& chunks);
  ~RefStore();

  // Keeps an immutable object durably. Idempotent; a damaged one is mended. Fails: corrupt (bytes
  // do not hash to `digest`), invalid (do not parse), exhausted.
  Result<void> put_list(Digest const& digest, std::span<std::byte const> bytes);
  Result<void> put_manifest(Digest const& digest, std::span<std::byte const> bytes);
  // Fails: not_found, corrupt (no longer matches its name; quarantined).
  Result<Buffer> list_bytes(Digest const& digest) const;
  Result<Buffer> manifest_bytes(Digest const& digest) const;
  Result<ShardList> list(Digest const& digest) const;
  Result<Manifest> manifest(Digest const& digest) const;
  // Fails: not_found, corrupt (its list or manifest), invalid (the manifest is of another identity
  // or generation).
  Result<RefReach> reach(Ref const& ref) const;
  // The same, read from the disk and not from the page cache.
  Result<RefReach> reach_on_disk(Ref const& ref) const;

  // The commit of one copy (or, for the manifest, of a generation). Syncs the chunk store, then
  // checks under the collector's lock that the list (or manifest and header list) and every chunk
  // they name are here, then writes the ref durably. The same ref again is fine.
  // Fails: conflict (another target under the same name that is here, or a tombstone covers the
  // generation),
  // not_found (the list or manifest it names is not here), invalid (a manifest of another
  // identity or generation), exhausted.
  Result<PutRefOutcome> put_ref(Ref const& ref);
  // Forgets this ref: moves its file to trash/. Removing what is not there is fine.
  // Fails: conflict (another target stands under its name; it is a manifest and shards of its
  // generation are here; it was to be of an unfinished generation and the manifest is here).
  Result<void> remove_ref(Ref const& ref, RefRemoval removal);

  // The inventory in a stable order (identity, generation, name), at most `count_max` entries
  // after the cursor `after` (an opaque string from the previous page; empty for the start). `next`
  // is empty on the last page.
  struct Page {
    std::vector<InventoryEntry> entries;
    std::string next;
  };
  Result<Page> inventory(RefSelection const& wanted, std::string const& after,
                         std::size_t count_max) const;
  // Changes whenever a ref or a tombstone is put, a ref removed or damage found: lets a coordinator
  // skip reading an inventory again.
  Digest inventory_digest() const;
  std::optional<Ref> find(CheckpointKey const& key, Generation generation,
                          RefName const& name) const;
  std::vector<Ref> refs_of(CheckpointKey const& key, Generation generation) const;
  // All refs, for the collector.
  std::vector<Ref> all_refs() const;
  // Grows with every ref put or removed, so that who has seen all of them need not look again.
  std::uint64_t refs_version() const;

  // Reads the ref's own file again; a damaged one is quarantined, and no longer held. Says whether
  // it was sound.
  Result<bool> reread_file(Ref const& ref);
  // Records that all chunks of the ref were re-read since then and match, or (none) that some do
  // not.
  void mark_reread(Ref const& ref, std::optional<std::int64_t> reread_ms);
  // Since when; none where this process has not read all of it.
  std::optional<std::int64_t> reread_ms(Ref const& ref) const;
  // Records when they were last known to, as their files tell.
  void mark_verified(Ref const& ref, std::optional<std::int64_t> verified_ms);

  // For the collector. Forgets the refs of generations without a manifest here, all of them written
  // at or before `written_by_ns`, where a newer generation of the identity has one; returns how
  // many.
  Result<std::uint64_t> drop_unfinished(std::int64_t written_by_ns);
  // For the collector, which holds its lock. Removes lists and manifests that are not among these
  // (sorted) and were written at or before `written_by_ns`; returns how many.
  Result<std::uint64_t> remove_other_objects(std::span<Digest const> lists,
                                             std::span<Digest const> manifests,
                                             std::int64_t written_by_ns);

  // For the collector, which holds its lock. Removes the list of that name; returns whether it was
  // here.
  Result<bool> remove_list(Digest const& digest);

  // "Forgotten on purpose": merged with the one that is here of the same identity. Durable when it
  // returns; then the refs that the two cover are moved to trash/, at the next start where this one
  // is cut off. Returns how many. Fails: exhausted (too many single generations).
  Result<std::uint64_t> put_tombstone(Tombstone const& tombstone);
  std::vector<Tombstone> tombstones() const;
  // At most `count_max` of identities after `after` (empty: from the start) that are wanted.
  std::vector<Tombstone> tombstones(RefSelection const& wanted,
                                    std::optional<CheckpointKey> const& after,
                                    std::size_t count_max) const;
  // What file_sync says should exist: kept as it came (checked JSON), durable. Fails: invalid.
  Result<void> put_expected(std::span<std::byte const> json);

  // Held by put_ref while it checks and writes, and by the collector for each folder it sweeps.
  std::mutex& collector_lock();

 private:
  struct State;
  explicit RefStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace grove
