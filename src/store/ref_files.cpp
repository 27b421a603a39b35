#include "store/ref_files.h"

#include <optional>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

Result<void> quarantine(DataFolder const& folder, fs::path const& path, std::string_view cause) {
  spdlog::error("{}: damaged: {}; it lies in quarantine now", printable(path.native()), cause);
  return folder.move_to_quarantine(path);
}

// What `parse` makes of the file at `path`; none where the file is damaged or gone.
// `path_of` says where such a value belongs.
template <typename Value, typename Parse, typename PathOf>
Result<std::optional<Value>> load(DataFolder const& folder, fs::path const& path, Parse parse,
                                  PathOf path_of) {
  TRY(auto const stamp, stamp_of(path));
  if (stamp.size > limits::ref_bytes_max) {
    TRY(quarantine(folder, path, "it is too large"));
    return std::optional<Value>();
  }
  auto const bytes = read_whole(path, limits::ref_bytes_max);
  if (!bytes) {
    // Only a file that the disk cannot read is damaged; without a free descriptor none would be.
    if (bytes.error().kind != ErrorKind::internal) return bytes.error();
    TRY(quarantine(folder, path, bytes.error().message));
    return std::optional<Value>();
  }
  Result<Value> value = parse(bytes.value().span());
  if (!value) {
    TRY(quarantine(folder, path, value.error().message));
    return std::optional<Value>();
  }
  if (path_of(value.value()) != path) {
    TRY(quarantine(folder, path, "its content belongs elsewhere"));
    return std::optional<Value>();
  }
  return std::optional<Value>(std::move(value).value());
}

// All that lie in `place`, one file for each identity.
template <typename Mark>
Result<std::vector<Mark>> load_marks(DataFolder const& folder, fs::path const& place,
                                     Result<Mark> (*parse)(std::span<std::byte const>),
                                     fs::path (*path_of)(DataFolder const&, CheckpointKey const&)) {
  std::vector<Mark> marks;
  TRY(auto const names, list_folder(place));
  for (auto const& name : names) {
    TRY(auto mark, load<Mark>(folder, place / name, parse,
                              [&](Mark const& it) { return path_of(folder, it.key); }));
    if (mark) marks.push_back(std::move(*mark));
  }
  return marks;
}

// Removes `path` where nothing is in it; says whether it did.
Result<bool> remove_if_empty(fs::path const& path) {
  TRY(auto const names, list_folder(path));
  if (!names.empty()) return false;
  TRY(remove_tree(path));
  return true;
}

}  // namespace

fs::path ref_path(DataFolder const& folder, CheckpointKey const& key, Generation generation,
                  RefName const& name) {
  return folder.refs() / key.digest().hex() / std::to_string(generation.value) /
         (name.text() + ".json");
}

fs::path tombstone_path(DataFolder const& folder, CheckpointKey const& key) {
  return folder.tombstones() / (key.digest().hex() + ".json");
}

fs::path pin_path(DataFolder const& folder, CheckpointKey const& key) {
  return folder.pins() / (key.digest().hex() + ".json");
}

Result<std::vector<Ref>> load_refs(DataFolder const& folder) {
  auto const path_of = [&](Ref const& ref) {
    return ref_path(folder, ref.key, ref.generation, ref.name);
  };
  std::vector<Ref> refs;
  TRY(auto const identities, list_folder(folder.refs()));
  for (auto const& identity : identities) {
    TRY(auto const generations, list_folder(folder.refs() / identity));
    for (auto const& generation : generations) {
      auto const place = folder.refs() / identity / generation;
      TRY(auto const names, list_folder(place));
      for (auto const& name : names) {
        TRY(auto ref, load<Ref>(folder, place / name, parse_ref, path_of));
        if (ref) refs.push_back(std::move(*ref));
      }
      // A process that was cut off had made the folder and not yet the ref.
      TRY(std::ignore, remove_if_empty(place));
    }
    TRY(std::ignore, remove_if_empty(folder.refs() / identity));
  }
  return refs;
}

Result<std::vector<Tombstone>> load_tombstones(DataFolder const& folder) {
  return load_marks<Tombstone>(folder, folder.tombstones(), parse_tombstone, tombstone_path);
}

Result<std::vector<Pin>> load_pins(DataFolder const& folder) {
  return load_marks<Pin>(folder, folder.pins(), parse_pin, pin_path);
}

Result<Ref> read_trashed_ref(fs::path const& path) {
  TRY(auto const bytes, read_whole(path, limits::ref_bytes_max));
  return parse_ref(bytes.span());
}

Result<void> drop_trashed_ref(DataFolder const& folder, Ref const& ref) {
  auto const path = folder.trash_path(ref_path(folder, ref.key, ref.generation, ref.name));
  auto const trashed = read_trashed_ref(path);
  // Gone, or another one of that name: not ours to drop.
  if (!trashed || trashed.value() != ref) return ok();
  return remove_file(path);
}

Result<bool> reread_ref_file(DataFolder const& folder, Ref const& ref) {
  auto const path = ref_path(folder, ref.key, ref.generation, ref.name);
  {
    auto file = File::open_readonly(path);
    if (!file && file.error().kind == ErrorKind::not_found) return false;
    if (file) file.value().drop_cache(0, limits::ref_bytes_max);
  }
  auto const parse = [&ref](std::span<std::byte const> bytes) -> Result<Ref> {
    TRY(auto read, parse_ref(bytes));
    if (read == ref) return read;
    return fail(ErrorKind::corrupt, "it says another thing than when it was written");
  };
  TRY(auto const read, load<Ref>(folder, path, parse, [&](Ref const&) { return path; }));
  return read.has_value();
}

Result<void> trash_ref(DataFolder const& folder, CheckpointKey const& key, Generation generation,
                       RefName const& name) {
  auto const path = ref_path(folder, key, generation, name);
  TRY(folder.move_to_trash(path));
  auto const generation_folder = path.parent_path();
  TRY(auto const is_last_name, remove_if_empty(generation_folder));
  if (!is_last_name) return ok();
  TRY(std::ignore, remove_if_empty(generation_folder.parent_path()));
  return ok();
}

}  // namespace grove
