#include "store/ref_store.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/limits.h"
#include "store/object_store.h"
#include "store/ref_files.h"
#include "store/ref_index.h"
#include "store/tombstone_index.h"

namespace grove {

namespace {

Result<void> check_list(std::span<std::byte const> bytes) {
  TRY(parse_shard_list(bytes));
  return ok();
}

Result<void> check_manifest(std::span<std::byte const> bytes) {
  TRY(parse_manifest(bytes));
  return ok();
}

std::string shown(CheckpointKey const& key, Generation generation, RefName const& name) {
  return fmt::format("{}{} of {} at generation {}", name.shard ? "shard " : "", name.text(),
                     printable(key.identity()), generation.value);
}

std::string shown(Ref const& ref) {
  return shown(ref.key, ref.generation, ref.name);
}

enum class ReadFrom { anywhere, disk };

std::set<Digest> digests_without_repeats(std::vector<ChunkRef> const& chunks) {
  std::set<Digest> digests;
  for (auto const& chunk : chunks) digests.insert(chunk.digest);
  return digests;
}

}  // namespace

struct RefStore::State {
  State(DataFolder const& data_folder, ChunkStore& chunk_store)
      : folder(data_folder),
        chunks(chunk_store),
        lists(folder, {.place = folder.shard_lists(),
                       .noun = "shard list",
                       .bytes_max = limits::list_bytes_max,
                       .check = check_list}),
        manifests(folder, {.place = folder.manifests(),
                           .noun = "manifest",
                           .bytes_max = limits::manifest_bytes_max,
                           .check = check_manifest}) {}

  // What counting a ref's chunks once gave. "None is missing" holds until something goes away.
  struct Counted {
    std::uint64_t bytes = 0;
    std::uint64_t missing_count = 0;
    std::uint64_t losses_count = 0;
  };

  Result<void> check_room(std::uint64_t bytes) const {
    TRY(auto const usable, chunks.usable_bytes());
    if (usable >= bytes) return ok();
    return fail(ErrorKind::exhausted,
                "cannot keep a list of chunks: {}: {} bytes are left above the reserve of {}; free "
                "some space or lower `reserve`",
                printable(folder.root().native()), usable, chunks.reserved_bytes());
  }

  // Grows with whatever goes away that a ref may name: a chunk, or a list or manifest that was
  // damaged.
  std::uint64_t losses_count() const {
    return chunks.removals_count() + lists.damaged_count() + manifests.damaged_count();
  }

  Result<ShardList> list(Digest const& digest) const {
    TRY(auto const bytes, lists.get(digest));
    return parse_shard_list(bytes.span());
  }

  Result<Manifest> manifest(Digest const& digest) const {
    TRY(auto const bytes, manifests.get(digest));
    return parse_manifest(bytes.span());
  }

  Result<RefReach> reach(Ref const& ref, ReadFrom from = ReadFrom::anywhere) const {
    RefReach reached{.list = ref.target, .chunks = {}};
    if (!ref.name.shard) {
      if (from == ReadFrom::disk) manifests.drop_cache(ref.target);
      TRY(auto const content, manifest(ref.target));
      if (content.identity != ref.key.identity() || content.generation != ref.generation) {
        return fail(ErrorKind::invalid,
                    "cannot keep {}: {} is the manifest of {} at generation {}; name the right one",
                    shown(ref), ref.target.short_hex(), printable(content.identity),
                    content.generation.value);
      }
      reached.list = content.header_list;
    }
    if (from == ReadFrom::disk) lists.drop_cache(reached.list);
    TRY(auto named, list(reached.list));
    reached.chunks = std::move(named.chunks);
    return reached;
  }

  Counted count(Ref const& ref) {
    // Read first: a chunk that goes away while we count makes the count old at once.
    auto const losses = losses_count();
    {
      std::lock_guard const lock(mutex);
      auto const known = counted.find(ref.target);
      if (known != counted.end() && known->second.losses_count == losses) {
        return known->second;
      }
    }
    auto const reached = reach(ref);
    if (!reached) return Counted{.missing_count = 1};
    Counted fresh{.losses_count = losses};
    for (auto const& chunk : reached.value().chunks) fresh.bytes += chunk.raw_bytes;
    // Durable ones alone: of a chunk that was damaged and came again the ref has promised more than
    // the page cache.
    fresh.missing_count = static_cast<std::uint64_t>(
        std::ranges::count_if(digests_without_repeats(reached.value().chunks),
                              [&](Digest const& digest) { return !chunks.proven_ns(digest); }));
    if (fresh.missing_count == 0) {
      std::lock_guard const lock(mutex);
      counted.insert_or_assign(ref.target, fresh);
    }
    return fresh;
  }

  // Refuses a ref that may not stand beside what is here. Under the collector's lock.
  Result<void> check_conflicts(Ref const& ref) {
    auto standing = index.find(ref.key, ref.generation, ref.name);
    if (standing && standing->target != ref.target && !reach(*standing)) {
      // It leads to nothing, as after a bit of it has flipped: it promises nothing that could be
      // kept.
      TRY(forget(ref.key, ref.generation, ref.name));
      standing.reset();
    }
    if (standing && standing->target != ref.target) {
      return fail(ErrorKind::conflict,
                  "cannot keep {}: it is {} already, not {}; store it again as a new generation",
                  shown(ref), standing->target.short_hex(), ref.target.short_hex());
    }
    auto const tombstone = tombstones.find(ref.key);
    if (tombstone && tombstone->covers(ref.generation)) {
      return fail(ErrorKind::conflict,
                  "cannot keep {}: it was forgotten on purpose; store it again as a new generation",
                  shown(ref));
    }
    return ok();
  }

  // Under the collector's lock.
  Result<void> forget(CheckpointKey const& key, Generation generation, RefName const& name) {
    auto const standing = index.find(key, generation, name);
    if (!standing) return ok();
    TRY(trash_ref(folder, key, generation, name));
    index.erase(key, generation, name);
    std::lock_guard const lock(mutex);
    counted.erase(standing->target);
    return ok();
  }

  // Under the collector's lock.
  Result<std::uint64_t> forget_covered(Tombstone const& tombstone) {
    std::uint64_t count = 0;
    for (auto const& ref : index.all_of(tombstone.key)) {
      if (!tombstone.covers(ref.generation)) continue;
      TRY(forget(ref.key, ref.generation, ref.name));
      ++count;
    }
    return count;
  }

  DataFolder const& folder;
  ChunkStore& chunks;
  ObjectStore lists;
  ObjectStore manifests;
  RefIndex index;
  TombstoneIndex tombstones;
  // Taken before every other lock of the store.
  std::mutex collector_mutex;

  mutable std::mutex mutex;
  std::unordered_map<Digest, Counted> counted;  // by a ref's target
};

RefStore::RefStore(std::unique_ptr<State> state) : state_(std::move(state)) {}

RefStore::~RefStore() = default;

Result<std::unique_ptr<RefStore>> RefStore::open(DataFolder const& folder, ChunkStore& chunks) {
  auto state = std::make_unique<State>(folder, chunks);
  TRY(auto const refs, load_refs(folder));
  for (auto const& ref : refs) state->index.insert(ref);
  TRY(auto const tombstones, load_tombstones(folder));
  for (auto const& tombstone : tombstones) {
    state->tombstones.insert(tombstone);
    TRY(state->forget_covered(tombstone));
  }
  return std::unique_ptr<RefStore>(new RefStore(std::move(state)));
}

Result<void> RefStore::put_list(Digest const& digest, std::span<std::byte const> bytes) {
  TRY(state_->check_room(bytes.size()));
  return state_->lists.put(digest, bytes);
}

Result<void> RefStore::put_manifest(Digest const& digest, std::span<std::byte const> bytes) {
  TRY(state_->check_room(bytes.size()));
  return state_->manifests.put(digest, bytes);
}

Result<Buffer> RefStore::list_bytes(Digest const& digest) const {
  return state_->lists.get(digest);
}

Result<Buffer> RefStore::manifest_bytes(Digest const& digest) const {
  return state_->manifests.get(digest);
}

Result<ShardList> RefStore::list(Digest const& digest) const {
  return state_->list(digest);
}

Result<Manifest> RefStore::manifest(Digest const& digest) const {
  return state_->manifest(digest);
}

Result<RefReach> RefStore::reach(Ref const& ref) const {
  return state_->reach(ref);
}

Result<RefReach> RefStore::reach_on_disk(Ref const& ref) const {
  return state_->reach(ref, ReadFrom::disk);
}

Result<PutRefOutcome> RefStore::put_ref(Ref const& ref) {
  // Most of the waiting for the disk happens here, before the lock.
  TRY(state_->chunks.sync());
  std::lock_guard const lock(state_->collector_mutex);
  TRY(state_->check_conflicts(ref));
  TRY(auto const reached, reach(ref));
  std::vector<Digest> needed;
  for (auto const& chunk : reached.chunks) needed.push_back(chunk.digest);
  if (auto missing = state_->chunks.missing(needed); !missing.empty()) {
    return PutRefOutcome{std::move(missing)};
  }
  // A chunk that was put since the first sync is not missing, but it is not durable either.
  TRY(state_->chunks.sync());
  if (state_->index.find(ref.key, ref.generation, ref.name)) return PutRefOutcome{};

  auto const path = ref_path(state_->folder, ref.key, ref.generation, ref.name);
  TRY(state_->folder.make_folders(path.parent_path()));
  auto const text = serialize(ref);
  TRY(state_->folder.write(path, bytes_of(text)));
  state_->index.insert(ref);
  return PutRefOutcome{};
}

Result<void> RefStore::remove_ref(Ref const& ref, RefRemoval removal) {
  std::lock_guard const lock(state_->collector_mutex);
  auto const standing = state_->index.find(ref.key, ref.generation, ref.name);
  if (!standing) return ok();
  if (standing->target != ref.target) {
    return fail(ErrorKind::conflict, "cannot delete {}: it is another one by now", shown(ref));
  }
  auto const beside = state_->index.all_of(ref.key, ref.generation);
  if (!ref.name.shard && beside.size() > 1) {
    return fail(ErrorKind::conflict,
                "cannot delete {}: shards of that generation are here; delete them first",
                shown(ref));
  }
  bool const is_complete = !beside.front().name.shard;
  if (removal == RefRemoval::is_unfinished && is_complete) {
    return fail(ErrorKind::conflict, "cannot delete {}: its generation is complete; name a witness",
                shown(ref));
  }
  return state_->forget(ref.key, ref.generation, ref.name);
}

std::vector<Ref> RefStore::refs_of(CheckpointKey const& key, Generation generation) const {
  return state_->index.all_of(key, generation);
}

Result<RefStore::Page> RefStore::inventory(RefSelection const& wanted, std::string const& after,
                                           std::size_t count_max) const {
  TRY(auto found, state_->index.page(wanted, after, count_max));
  Page page{.entries = {}, .next = std::move(found.next)};
  for (auto& entry : found.entries) {
    auto const counted = state_->count(entry.ref);
    page.entries.push_back({.ref = std::move(entry.ref),
                            .missing_count = counted.missing_count,
                            .bytes = counted.bytes,
                            .verified_ms = entry.verified_ms});
  }
  return page;
}

Digest RefStore::inventory_digest() const {
  auto digest = state_->index.digest();
  // So that damage is looked after at once.
  auto const damaged_count = state_->chunks.damaged_count() + state_->lists.damaged_count() +
                             state_->manifests.damaged_count();
  if (damaged_count > 0) toggle(digest, sha256(fmt::format("{} damaged", damaged_count)));
  toggle(digest, state_->tombstones.digest());
  return digest;
}

std::optional<Ref> RefStore::find(CheckpointKey const& key, Generation generation,
                                  RefName const& name) const {
  return state_->index.find(key, generation, name);
}

std::vector<Ref> RefStore::all_refs() const {
  return state_->index.all();
}

std::uint64_t RefStore::refs_version() const {
  return state_->index.version();
}

Result<bool> RefStore::reread_file(Ref const& ref) {
  std::lock_guard const lock(state_->collector_mutex);
  // Forgotten meanwhile, or put again with another target: nothing to say of this one.
  if (state_->index.find(ref.key, ref.generation, ref.name) != ref) return true;
  TRY(auto const is_sound, reread_ref_file(state_->folder, ref));
  if (!is_sound) state_->index.erase(ref.key, ref.generation, ref.name);
  return is_sound;
}

void RefStore::mark_verified(Ref const& ref, std::optional<std::int64_t> verified_ms) {
  state_->index.set_verified(ref, verified_ms);
}

void RefStore::mark_reread(Ref const& ref, std::optional<std::int64_t> reread_ms) {
  state_->index.set_reread(ref, reread_ms);
  if (reread_ms) return;
  // A chunk may have vanished without anybody removing it here.
  std::lock_guard const lock(state_->mutex);
  state_->counted.erase(ref.target);
}

std::optional<std::int64_t> RefStore::reread_ms(Ref const& ref) const {
  return state_->index.reread_ms(ref);
}

Result<std::uint64_t> RefStore::drop_unfinished(std::int64_t written_by_ns) {
  std::lock_guard const lock(state_->collector_mutex);
  auto const refs = state_->index.all();
  std::map<CheckpointKey, Generation> newest_complete;
  for (auto const& ref : refs) {
    // In the order of all(), so that the last one of an identity is its newest.
    if (!ref.name.shard) newest_complete.insert_or_assign(ref.key, ref.generation);
  }
  std::uint64_t dropped_count = 0;
  for (auto first = refs.begin(); first != refs.end();) {
    auto const last = std::find_if(first, refs.end(), [first](Ref const& ref) {
      return ref.key != first->key || ref.generation != first->generation;
    });
    std::span const generation(first, last);
    first = last;
    auto const complete = newest_complete.find(generation.front().key);
    // The manifest comes first where there is one.
    if (!generation.front().name.shard || complete == newest_complete.end() ||
        complete->second < generation.front().generation) {
      continue;
    }
    bool const is_old = std::ranges::all_of(generation, [&](Ref const& ref) {
      auto const stamp = stamp_of(ref_path(state_->folder, ref.key, ref.generation, ref.name));
      return stamp && stamp.value().mtime_ns <= written_by_ns;
    });
    if (!is_old) continue;
    for (auto const& ref : generation) {
      TRY(state_->forget(ref.key, ref.generation, ref.name));
      ++dropped_count;
    }
  }
  return dropped_count;
}

Result<std::uint64_t> RefStore::remove_other_objects(std::span<Digest const> lists,
                                                     std::span<Digest const> manifests,
                                                     std::int64_t written_by_ns) {
  TRY(auto const lists_count, state_->lists.remove_others(lists, written_by_ns));
  TRY(auto const manifests_count, state_->manifests.remove_others(manifests, written_by_ns));
  return lists_count + manifests_count;
}

Result<bool> RefStore::remove_list(Digest const& digest) {
  return state_->lists.remove(digest);
}

Result<std::uint64_t> RefStore::put_tombstone(Tombstone const& tombstone) {
  // Under the collector's lock, so that no put_ref passes its check meanwhile.
  std::lock_guard const collector_lock(state_->collector_mutex);
  auto const standing = state_->tombstones.find(tombstone.key);
  auto const both = standing ? merged(*standing, tombstone) : tombstone;
  TRY(check_tombstone(both));
  if (both != standing) {
    auto const text = serialize(both);
    TRY(state_->folder.write(tombstone_path(state_->folder, both.key), bytes_of(text)));
    state_->tombstones.insert(both);
  }
  return state_->forget_covered(both);
}

std::vector<Tombstone> RefStore::tombstones() const {
  return state_->tombstones.all();
}

std::vector<Tombstone> RefStore::tombstones(RefSelection const& wanted,
                                            std::optional<CheckpointKey> const& after,
                                            std::size_t count_max) const {
  return state_->tombstones.page(wanted, after, count_max);
}

Result<void> RefStore::put_expected(std::span<std::byte const> json) {
  if (json.size() > limits::json_body_bytes_max) {
    return fail(ErrorKind::invalid,
                "cannot keep the list of what should exist: {} bytes are more than the {} allowed",
                json.size(), limits::json_body_bytes_max);
  }
  if (!nlohmann::json::accept(text_of(json))) {
    return fail(ErrorKind::invalid,
                "cannot keep the list of what should exist: it is not JSON; send a JSON document");
  }
  return state_->folder.write(state_->folder.expected(), json);
}

std::mutex& RefStore::collector_lock() {
  return state_->collector_mutex;
}

}  // namespace grove
