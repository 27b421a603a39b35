// The refs of one worker in memory, in the order of the inventory: identity, generation, name.
// Not here: the files they come from and the rules for putting one (store/ref_store.h).
// Threads: any; locks itself, never touches the disk.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "format/key.h"
#include "format/manifest.h"
#include "format/ref.h"

namespace grove {

// Which refs are asked for; all of them where nothing is said.
struct RefSelection {
  std::optional<CheckpointKey> only{};  // of this identity
  std::string prefix{};                 // of identities that begin so
  std::optional<Generation> generation{};
  std::vector<RefName> names{};  // sorted: of these shards, or of manifests
};

// Those of `marks` (tombstones, pins) whose identities come after `after` and are wanted, at most
// `count_max`.
template <typename Mark>
std::vector<Mark> marks_after(std::map<CheckpointKey, Mark> const& marks,
                              RefSelection const& wanted, std::optional<CheckpointKey> const& after,
                              std::size_t count_max) {
  auto entry = wanted.only ? marks.lower_bound(*wanted.only) : marks.begin();
  if (after) entry = marks.upper_bound(*after);
  std::vector<Mark> page;
  for (; entry != marks.end() && page.size() < count_max; ++entry) {
    if (wanted.only && entry->first != *wanted.only) break;
    if (entry->first.identity().starts_with(wanted.prefix)) page.push_back(entry->second);
  }
  return page;
}

// Puts `other` into `digest`, or takes it out: a set of things whose digests are combined so has
// one of its own, and no change to it looks at the others.
void toggle(Digest& digest, Digest const& other);

class RefIndex {
 public:
  struct Entry {
    Ref ref;
    std::optional<std::int64_t> verified_ms;
  };
  struct Page {
    std::vector<Entry> entries;
    std::string next;  // empty on the last page
  };

  void insert(Ref const& ref);
  void erase(CheckpointKey const& key, Generation generation, RefName const& name);
  // Since when all that the ref names is known to be good, and since when it was read, in ms of the
  // wall clock. Of the ref as it stands here; a ref with another target is left alone.
  void set_verified(Ref const& ref, std::optional<std::int64_t> verified_ms);
  void set_reread(Ref const& ref, std::optional<std::int64_t> reread_ms);  // and verified
  std::optional<std::int64_t> reread_ms(Ref const& ref) const;

  std::optional<Ref> find(CheckpointKey const& key, Generation generation,
                          RefName const& name) const;
  std::vector<Ref> all() const;
  std::vector<Ref> all_of(CheckpointKey const& key) const;
  std::vector<Ref> all_of(CheckpointKey const& key, Generation generation) const;
  // At most `count_max` entries (at least one) after the cursor `after`, empty for the start.
  // Fails: invalid (a cursor that no page has given).
  Result<Page> page(RefSelection const& wanted, std::string_view after,
                    std::size_t count_max) const;

  // Equal where two indices hold the same refs.
  Digest digest() const;
  // Grows with every change, so that who has seen all() at one version may skip it.
  std::uint64_t version() const;

 private:
  struct Place {
    CheckpointKey key;
    Generation generation;
    RefName name;
    friend auto operator<=>(Place const&, Place const&) = default;
    // Before every place of identities from this one on, whole or only its beginning.
    friend bool operator<(Place const& place, std::string_view identity) {
      return place.key.identity() < identity;
    }
  };
  struct Content {
    Digest target;
    std::optional<std::int64_t> verified_ms{};
    std::optional<std::int64_t> reread_ms{};
  };

  // Under the mutex; nullptr where the ref does not stand here.
  Content* find_content(Ref const& ref);
  // Puts the ref into the digest, or takes it out.
  void toggle(Ref const& ref);
  static Ref ref_at(Place const& place, Content const& content);
  static std::string cursor_after(Place const& place);
  static Result<Place> parse_cursor(std::string_view cursor);

  mutable std::mutex mutex_;
  std::map<Place, Content, std::less<>> refs_;
  std::uint64_t version_ = 0;
  Digest digest_;  // of each ref's own
};

}  // namespace grove
