#include "store/tombstone_index.h"

namespace grove {

void TombstoneIndex::insert(Tombstone const& tombstone) {
  std::lock_guard const lock(mutex_);
  auto const standing = tombstones_.find(tombstone.key);
  if (standing != tombstones_.end()) toggle(digest_, sha256(serialize(standing->second)));
  toggle(digest_, sha256(serialize(tombstone)));
  tombstones_.insert_or_assign(tombstone.key, tombstone);
}

std::optional<Tombstone> TombstoneIndex::find(CheckpointKey const& key) const {
  std::lock_guard const lock(mutex_);
  auto const standing = tombstones_.find(key);
  if (standing == tombstones_.end()) return std::nullopt;
  return standing->second;
}

std::vector<Tombstone> TombstoneIndex::all() const {
  std::lock_guard const lock(mutex_);
  std::vector<Tombstone> all;
  for (auto const& [key, tombstone] : tombstones_) all.push_back(tombstone);
  return all;
}

std::vector<Tombstone> TombstoneIndex::page(RefSelection const& wanted,
                                            std::optional<CheckpointKey> const& after,
                                            std::size_t count_max) const {
  std::lock_guard const lock(mutex_);
  return marks_after(tombstones_, wanted, after, count_max);
}

Digest TombstoneIndex::digest() const {
  std::lock_guard const lock(mutex_);
  return digest_;
}

}  // namespace grove
