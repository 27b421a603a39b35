#include "store/object_store.h"

#include <algorithm>
#include <utility>

namespace grove {

ObjectStore::ObjectStore(DataFolder const& folder, Kind kind)
    : folder_(folder), kind_(std::move(kind)) {}

Result<void> ObjectStore::put(Digest const& digest, std::span<std::byte const> bytes) {
  if (bytes.size() > kind_.bytes_max) {
    return fail(ErrorKind::invalid, "cannot keep {} {}: {} bytes are more than the {} allowed",
                kind_.noun, digest.short_hex(), bytes.size(), kind_.bytes_max);
  }
  if (auto const actual = sha256(bytes); actual != digest) {
    return fail(ErrorKind::corrupt, "cannot keep {} {}: its bytes hash to {}; send it again",
                kind_.noun, digest.short_hex(), actual.short_hex());
  }
  TRY(kind_.check(bytes));
  std::lock_guard const lock(changes_mutex_);
  return folder_.write(path_of(digest), bytes);
}

Result<Buffer> ObjectStore::read(Digest const& digest) const {
  auto const path = path_of(digest);
  auto const stamp = stamp_of(path);
  if (!stamp) {
    if (stamp.error().kind != ErrorKind::not_found) return stamp.error();
    return fail(ErrorKind::not_found, "{} {} is not here", kind_.noun, digest.short_hex());
  }
  auto const damaged = [&] {
    return fail(ErrorKind::corrupt, "{} {} in {}: it does not match its name; take another copy",
                kind_.noun, digest.short_hex(), printable(kind_.place.native()));
  };
  if (stamp.value().size > kind_.bytes_max) return damaged();
  auto bytes = read_whole(path, kind_.bytes_max);
  if (!bytes) {
    // A sector that cannot be read is damage like any other.
    if (bytes.error().kind == ErrorKind::internal) return damaged();
    return bytes;
  }
  if (sha256(bytes.value().span()) != digest) return damaged();
  return bytes;
}

void ObjectStore::drop_cache(Digest const& digest) const {
  auto file = File::open_readonly(path_of(digest));
  if (file) file.value().drop_cache(0, kind_.bytes_max);
}

Result<Buffer> ObjectStore::get(Digest const& digest) const {
  auto bytes = read(digest);
  if (bytes || bytes.error().kind != ErrorKind::corrupt) return bytes;
  // Alone now: a good one may have come in place of what was read.
  std::lock_guard const lock(changes_mutex_);
  bytes = read(digest);
  if (bytes || bytes.error().kind != ErrorKind::corrupt) return bytes;
  ++damaged_count_;
  auto const moved = folder_.move_to_quarantine(path_of(digest));
  if (!moved) {
    return fail(ErrorKind::corrupt, "{}, and not into quarantine: {}", bytes.error().message,
                moved.error().message);
  }
  return bytes;
}

Result<bool> ObjectStore::remove(Digest const& digest) {
  std::lock_guard const lock(changes_mutex_);
  auto const path = path_of(digest);
  if (!stamp_of(path)) return false;
  TRY(remove_file(path));
  return true;
}

Result<std::uint64_t> ObjectStore::remove_others(std::span<Digest const> kept,
                                                 std::int64_t written_by_ns) {
  std::lock_guard const lock(changes_mutex_);
  TRY(auto const names, list_folder(kind_.place));
  std::uint64_t removed_count = 0;
  for (auto const& name : names) {
    auto const digest = Digest::parse(name);
    if (!digest || std::ranges::binary_search(kept, digest.value())) continue;
    auto const stamp = stamp_of(kind_.place / name);
    if (!stamp || stamp.value().mtime_ns > written_by_ns) continue;
    TRY(remove_file(kind_.place / name));
    ++removed_count;
  }
  return removed_count;
}

}  // namespace grove
