#include "store/chunk_store.h"

#include <array>
#include <atomic>
#include <bitset>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/direct_write.h"
#include "base/limits.h"
#include "format/chunk.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

unsigned prefix_of(Digest const& digest) {
  return std::to_integer<unsigned>(digest.bytes[0]);
}

fs::path folder_of_prefix(DataFolder const& folder, unsigned prefix) {
  return folder.chunks() / fmt::format("{:02x}", prefix);
}

// A sector that cannot be read is damage like any other. Fails: corrupt.
Result<Buffer> read_encoded(File const& file) {
  TRY(auto const stamp, file.stamp());
  if (stamp.size <= limits::chunk_header_bytes || stamp.size > limits::encoded_chunk_bytes_max) {
    return fail(ErrorKind::corrupt, "{} has {} bytes, which no chunk has",
                printable(file.path().native()), stamp.size);
  }
  Buffer encoded(stamp.size);
  auto const read = file.read_exactly_at(encoded.span(), 0);
  if (!read) return Error{ErrorKind::corrupt, read.error().message};
  return encoded;
}

// `encoded` is as get() gives it. Fails: corrupt (sound by its checksum, and yet no such chunk).
Result<RawChunk> decode(Buffer encoded) {
  auto const header = parse_chunk_header(encoded.span());
  if (header.has_error()) return Error{ErrorKind::corrupt, header.error().message};
  RawChunk raw{
      .memory = {}, .bytes = {}, .codec = header.value().codec, .encoded_bytes = encoded.size()};
  if (raw.codec == Codec::raw) {
    raw.memory = std::move(encoded);
    raw.bytes = std::as_const(raw.memory).span().subspan(limits::chunk_header_bytes);
    return raw;
  }
  TRY(decode_payload(encoded.span().subspan(limits::chunk_header_bytes), raw.codec,
                     header.value().raw_bytes, raw.memory));
  raw.bytes = raw.memory.span();
  return raw;
}

struct Pending {
  std::shared_ptr<PendingFile> file;
  fs::path path;  // of its own: the file's changes when it is renamed
};

using PendingChunks = std::unordered_map<Digest, Pending>;

}  // namespace

struct ChunkStore::State {
  State(DataFolder const& data_folder, std::uint64_t reserved)
      : folder(data_folder), reserved_bytes(reserved) {}

  fs::path path_of(Digest const& digest) const {
    return folder_of_prefix(folder, prefix_of(digest)) / digest.hex();
  }

  std::optional<Pending> find_pending(Digest const& digest) const {
    std::lock_guard const lock(mutex);
    auto const found = pending.find(digest);
    if (found == pending.end()) return std::nullopt;
    return found->second;
  }

  Result<File> open_chunk(Digest const& digest) const {
    if (auto const waiting = find_pending(digest)) {
      auto file = File::open_readonly(waiting->path);
      // Not found: a sync has renamed it meanwhile.
      if (file || file.error().kind != ErrorKind::not_found) return file;
    }
    auto file = File::open_readonly(path_of(digest));
    if (!file && file.error().kind == ErrorKind::not_found) {
      return fail(ErrorKind::not_found, "chunk {} is not here", digest.short_hex());
    }
    return file;
  }

  Result<void> check_trusted() const {
    std::lock_guard const lock(mutex);
    if (poison) return *poison;
    return ok();
  }

  Result<void> make_durable(PendingChunks const& chunks) {
    std::bitset<256> touched;
    for (auto const& [digest, waiting] : chunks) {
      ++disk_syncs_count;
      TRY(waiting.file->commit_as(path_of(digest)));
      touched.set(prefix_of(digest));
    }
    for (unsigned prefix = 0; prefix < touched.size(); ++prefix) {
      if (!touched.test(prefix)) continue;
      ++disk_syncs_count;
      TRY(sync_folder(folder_of_prefix(folder, prefix)));
    }
    return ok();
  }

  // Best effort: without it the chunk is read again sooner than it need be.
  void note_proven(Digest const& digest) const {
    std::error_code ignored;
    fs::last_write_time(path_of(digest), fs::file_time_type::clock::now(), ignored);
  }

  DataFolder const& folder;
  std::uint64_t const reserved_bytes;
  std::atomic<std::uint64_t> removals_count{0};
  std::atomic<std::uint64_t> damaged_count{0};
  std::atomic<std::uint64_t> disk_syncs_count{0};

  // One sync at a time: who finds nothing pending must still wait for the sync that took it.
  // Held as well where a chunk goes away, so that none vanishes under a sync. Taken before `mutex`.
  std::mutex sync_mutex;
  mutable std::mutex mutex;
  // A chunk leaves only when its final name is durable: so it is always in one place or the other.
  PendingChunks pending;
  std::optional<Error> poison;
};

ChunkStore::ChunkStore(DataFolder const& folder, std::uint64_t reserved_bytes)
    : state_(std::make_unique<State>(folder, reserved_bytes)) {}

ChunkStore::~ChunkStore() = default;

Result<void> ChunkStore::put(Digest const& digest, std::span<std::byte const> encoded,
                             CacheUse cache) {
  TRY(state_->check_trusted());
  {
    Buffer scratch;
    TRY(decode_chunk(encoded, digest, scratch));
  }
  return put_proven(digest, encoded, cache);
}

Result<void> ChunkStore::put_proven(Digest const& digest, std::span<std::byte const> encoded,
                                    CacheUse cache) {
  TRY(state_->check_trusted());
  if (has(digest)) return ok();

  TRY(auto const usable, usable_bytes());
  if (usable < encoded.size()) {
    return fail(ErrorKind::exhausted,
                "cannot keep chunk {}: {}: {} bytes are left above the reserve of {}; free some "
                "space or lower `reserve`",
                digest.short_hex(), printable(state_->folder.root().native()), usable,
                state_->reserved_bytes);
  }
  TRY(auto file, PendingFile::create(state_->folder.tmp()));
  if (cache == CacheUse::drop_behind) {
    TRY(write_past_cache(file.file(), encoded));
  } else {
    TRY(file.file().write_at(encoded, 0));
    file.file().start_writeback(0, encoded.size());
  }

  bool is_full = false;
  {
    auto const path = file.file().path();
    std::lock_guard const lock(state_->mutex);
    // Where another put of the same chunk was faster, ours is dropped and its file removed.
    state_->pending.try_emplace(digest,
                                Pending{std::make_shared<PendingFile>(std::move(file)), path});
    is_full = state_->pending.size() >= limits::pending_chunks_max;
  }
  if (is_full) return sync();
  return ok();
}

Result<Buffer> ChunkStore::get(Digest const& digest) {
  TRY(auto const file, state_->open_chunk(digest));
  if (auto encoded = read_encoded(file); encoded && check_chunk(encoded.value().span())) {
    return encoded;
  }
  return read_again_or_quarantine(digest);
}

Result<RawChunk> ChunkStore::get_raw(Digest const& digest) {
  TRY(auto encoded, get(digest));
  auto raw = decode(std::move(encoded));
  if (raw.has_error()) {
    TRY(verify(digest));  // it goes to quarantine
  }
  return raw;
}

Result<std::uint64_t> ChunkStore::verify(Digest const& digest) {
  TRY(auto file, state_->open_chunk(digest));
  TRY(auto const stamp, file.stamp());
  file.drop_cache(0, stamp.size);
  {
    Buffer scratch;
    auto const encoded = read_encoded(file);
    if (encoded && decode_chunk(encoded.value().span(), digest, scratch)) {
      state_->note_proven(digest);
      return encoded.value().size();
    }
  }
  TRY(auto const encoded, read_again_or_quarantine(digest));
  state_->note_proven(digest);
  return encoded.size();
}

Result<Buffer> ChunkStore::read_again_or_quarantine(Digest const& digest) {
  // Between the first look and this one another reader may have quarantined it and a good one may
  // have come: that one must stay.
  std::lock_guard const sync_lock(state_->sync_mutex);
  TRY(auto file, state_->open_chunk(digest));
  auto encoded = read_encoded(file);
  Buffer scratch;
  if (encoded && decode_chunk(encoded.value().span(), digest, scratch)) return encoded;

  {
    std::lock_guard const lock(state_->mutex);
    state_->pending.erase(digest);
  }
  ++state_->removals_count;
  ++state_->damaged_count;
  auto const moved = state_->folder.move_to_quarantine(state_->path_of(digest));
  return fail(ErrorKind::corrupt,
              "chunk {} in {}: it does not match its name and {}; take another copy",
              digest.short_hex(), printable(state_->folder.root().native()),
              moved ? std::string("lies in quarantine now") : moved.error().message);
}

bool ChunkStore::has(Digest const& digest) const {
  if (state_->find_pending(digest)) return true;
  auto const stamp = stamp_of(state_->path_of(digest));
  return stamp && stamp.value().size > limits::chunk_header_bytes;
}

std::vector<Digest> ChunkStore::missing_or_damaged(std::span<Digest const> digests) {
  std::vector<Digest> lacking;
  std::unordered_set<Digest> seen;
  for (auto const& digest : digests) {
    if (seen.insert(digest).second && !get(digest)) lacking.push_back(digest);
  }
  return lacking;
}

std::vector<Digest> ChunkStore::missing(std::span<Digest const> digests) const {
  std::vector<Digest> lacking;
  std::unordered_set<Digest> seen;
  for (auto const& digest : digests) {
    if (seen.insert(digest).second && !has(digest)) lacking.push_back(digest);
  }
  return lacking;
}

Result<void> ChunkStore::sync() {
  std::lock_guard const sync_lock(state_->sync_mutex);
  TRY(state_->check_trusted());
  PendingChunks taken;
  {
    std::lock_guard const lock(state_->mutex);
    taken = state_->pending;
  }
  if (taken.empty()) return ok();
  auto const durable = state_->make_durable(taken);
  std::lock_guard const lock(state_->mutex);
  if (!durable) {
    state_->poison =
        fail(ErrorKind::internal,
             "cannot make chunks durable: the disk did not take what it was given: {}; restart the "
             "worker",
             durable.error().message);
    return *state_->poison;
  }
  for (auto const& [digest, waiting] : taken) state_->pending.erase(digest);
  return ok();
}

bool ChunkStore::is_poisoned() const {
  return !state_->check_trusted();
}

std::uint64_t ChunkStore::disk_syncs_count() const {
  return state_->disk_syncs_count;
}

Result<void> ChunkStore::remove(Digest const& digest) {
  std::lock_guard const sync_lock(state_->sync_mutex);
  {
    std::lock_guard const lock(state_->mutex);
    state_->pending.erase(digest);
  }
  TRY(remove_file(state_->path_of(digest)));
  ++state_->removals_count;
  return ok();
}

std::optional<std::int64_t> ChunkStore::proven_ns(Digest const& digest) const {
  auto const stamp = stamp_of(state_->path_of(digest));
  if (!stamp || stamp.value().size <= limits::chunk_header_bytes) return std::nullopt;
  return stamp.value().mtime_ns;
}

std::uint64_t ChunkStore::damaged_count() const {
  return state_->damaged_count;
}

std::uint64_t ChunkStore::removals_count() const {
  return state_->removals_count;
}

Result<std::vector<ChunkStore::StoredChunk>> ChunkStore::list(std::uint8_t prefix) const {
  auto const folder = folder_of_prefix(state_->folder, prefix);
  TRY(auto const names, list_folder(folder));
  std::vector<StoredChunk> stored;
  stored.reserve(names.size());
  for (auto const& name : names) {
    auto const digest = Digest::parse(name);
    if (!digest || prefix_of(digest.value()) != prefix) continue;
    auto const stamp = stamp_of(folder / name);
    if (!stamp) {
      if (stamp.error().kind == ErrorKind::not_found) continue;
      return stamp.error();
    }
    stored.push_back({digest.value(), stamp.value().size, stamp.value().mtime_ns});
  }
  return stored;
}

Result<std::uint64_t> ChunkStore::usable_bytes() const {
  TRY(auto const space, space_of(state_->folder.root()));
  return space.free_bytes > state_->reserved_bytes ? space.free_bytes - state_->reserved_bytes : 0;
}

std::uint64_t ChunkStore::reserved_bytes() const {
  return state_->reserved_bytes;
}

}  // namespace grove
