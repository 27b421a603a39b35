// The tombstones of one worker in memory, in the order of their keys. Not here: the files they come
// from, and what they cover (store/ref_store.h). Threads: any; locks itself, never touches the
// disk.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "format/key.h"
#include "format/ref.h"
#include "store/ref_index.h"

namespace grove {

class TombstoneIndex {
 public:
  // In place of the one of the same identity.
  void insert(Tombstone const& tombstone);
  std::optional<Tombstone> find(CheckpointKey const& key) const;
  std::vector<Tombstone> all() const;
  // At most `count_max` of identities after `after` (none: from the start) that are wanted.
  std::vector<Tombstone> page(RefSelection const& wanted, std::optional<CheckpointKey> const& after,
                              std::size_t count_max) const;
  // Equal where two indices hold the same.
  Digest digest() const;

 private:
  mutable std::mutex mutex_;
  std::map<CheckpointKey, Tombstone> tombstones_;
  Digest digest_{};  // of each one's own, all combined by exclusive or
};

}  // namespace grove
