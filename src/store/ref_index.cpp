#include "store/ref_index.h"

#include <algorithm>
#include <utility>

namespace grove {

void toggle(Digest& digest, Digest const& other) {
  for (std::size_t index = 0; index < digest.bytes.size(); ++index) {
    digest.bytes[index] ^= other.bytes[index];
  }
}

Ref RefIndex::ref_at(Place const& place, Content const& content) {
  return Ref{place.key, place.generation, place.name, content.target};
}

// "<generation>/<name>/<identity>": an identity may hold any character but has the rest for itself.
std::string RefIndex::cursor_after(Place const& place) {
  return fmt::format("{}/{}/{}", place.generation.value, place.name.text(), place.key.identity());
}

Result<RefIndex::Place> RefIndex::parse_cursor(std::string_view cursor) {
  auto const first = cursor.find('/');
  auto const second = first == cursor.npos ? cursor.npos : cursor.find('/', first + 1);
  if (second == cursor.npos) {
    return fail(ErrorKind::invalid, "cannot go on after {}: it is no cursor; begin at the start",
                printable(cursor));
  }
  TRY(auto const generation, parse_generation(cursor.substr(0, first)));
  TRY(auto const name, RefName::parse(cursor.substr(first + 1, second - first - 1)));
  TRY(auto key, CheckpointKey::parse(cursor.substr(second + 1)));
  return Place{std::move(key), generation, name};
}

void RefIndex::insert(Ref const& ref) {
  std::lock_guard const lock(mutex_);
  auto const [place, is_new] =
      refs_.try_emplace(Place{ref.key, ref.generation, ref.name}, Content{ref.target});
  ++version_;
  if (!is_new && place->second.target == ref.target) return;
  if (!is_new) {
    toggle(ref_at(place->first, place->second));
    place->second = Content{ref.target};
  }
  toggle(ref);
}

void RefIndex::erase(CheckpointKey const& key, Generation generation, RefName const& name) {
  std::lock_guard const lock(mutex_);
  ++version_;
  auto const found = refs_.find(Place{key, generation, name});
  if (found == refs_.end()) return;
  toggle(ref_at(found->first, found->second));
  refs_.erase(found);
}

RefIndex::Content* RefIndex::find_content(Ref const& ref) {
  auto const found = refs_.find(Place{ref.key, ref.generation, ref.name});
  return found == refs_.end() || found->second.target != ref.target ? nullptr : &found->second;
}

void RefIndex::set_verified(Ref const& ref, std::optional<std::int64_t> verified_ms) {
  std::lock_guard const lock(mutex_);
  if (auto* content = find_content(ref)) content->verified_ms = verified_ms;
}

void RefIndex::set_reread(Ref const& ref, std::optional<std::int64_t> reread_ms) {
  std::lock_guard const lock(mutex_);
  auto* content = find_content(ref);
  if (content == nullptr) return;
  content->verified_ms = reread_ms;
  content->reread_ms = reread_ms;
}

std::optional<std::int64_t> RefIndex::reread_ms(Ref const& ref) const {
  std::lock_guard const lock(mutex_);
  auto const found = refs_.find(Place{ref.key, ref.generation, ref.name});
  if (found == refs_.end() || found->second.target != ref.target) return std::nullopt;
  return found->second.reread_ms;
}

std::optional<Ref> RefIndex::find(CheckpointKey const& key, Generation generation,
                                  RefName const& name) const {
  std::lock_guard const lock(mutex_);
  auto const found = refs_.find(Place{key, generation, name});
  if (found == refs_.end()) return std::nullopt;
  return ref_at(found->first, found->second);
}

std::vector<Ref> RefIndex::all() const {
  std::lock_guard const lock(mutex_);
  std::vector<Ref> refs;
  refs.reserve(refs_.size());
  for (auto const& [place, content] : refs_) refs.push_back(ref_at(place, content));
  return refs;
}

std::vector<Ref> RefIndex::all_of(CheckpointKey const& key) const {
  std::lock_guard const lock(mutex_);
  std::vector<Ref> refs;
  auto entry = refs_.lower_bound(std::string_view(key.identity()));
  for (; entry != refs_.end() && entry->first.key == key; ++entry) {
    refs.push_back(ref_at(entry->first, entry->second));
  }
  return refs;
}

std::vector<Ref> RefIndex::all_of(CheckpointKey const& key, Generation generation) const {
  std::lock_guard const lock(mutex_);
  std::vector<Ref> refs;
  // The manifest comes first where there is one.
  auto entry = refs_.lower_bound(Place{key, generation, RefName{}});
  for (; entry != refs_.end(); ++entry) {
    if (entry->first.key != key || entry->first.generation != generation) break;
    refs.push_back(ref_at(entry->first, entry->second));
  }
  return refs;
}

Result<RefIndex::Page> RefIndex::page(RefSelection const& wanted, std::string_view after,
                                      std::size_t count_max) const {
  std::optional<Place> cursor;
  if (!after.empty()) {
    TRY(cursor, parse_cursor(after));
  }
  std::string_view const first = wanted.only ? wanted.only->identity() : wanted.prefix;
  std::lock_guard const lock(mutex_);
  auto next = cursor && cursor->key.identity() >= first ? refs_.upper_bound(*cursor)
                                                        : refs_.lower_bound(first);

  Page page;
  count_max = std::max<std::size_t>(count_max, 1);
  for (; next != refs_.end(); ++next) {
    auto const& [place, content] = *next;
    if (wanted.only && place.key != *wanted.only) break;
    if (!place.key.identity().starts_with(wanted.prefix)) break;
    if (wanted.generation && place.generation != *wanted.generation) continue;
    if (!wanted.names.empty() && !std::ranges::binary_search(wanted.names, place.name)) continue;
    if (page.entries.size() == count_max) {
      page.next = cursor_after(std::prev(next)->first);
      break;
    }
    page.entries.push_back({ref_at(place, content), content.verified_ms});
  }
  return page;
}

Digest RefIndex::digest() const {
  std::lock_guard const lock(mutex_);
  return digest_;
}

void RefIndex::toggle(Ref const& ref) {
  grove::toggle(digest_, sha256(serialize(ref)));
}

std::uint64_t RefIndex::version() const {
  std::lock_guard const lock(mutex_);
  return version_;
}

}  // namespace grove
