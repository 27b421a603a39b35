#include "store/data_folder.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/random.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t identity_file_bytes_max = 4096;
constexpr std::array<char const*, 9> own_folders{"chunks",     "shardlists", "manifests",
                                                 "refs",       "tombstones", "pins",
                                                 "quarantine", "trash",      "tmp"};
constexpr std::size_t id_digits = 32;
// What base/file.h calls its temporary files.
constexpr std::string_view pending_prefix = ".grove-";

struct Identity {
  std::uint32_t format = 0;
  Rank rank;
  std::string id;
};

std::string shown(fs::path const& path) {
  return printable(path.native());
}

bool is_id(std::string const& text) {
  return text.size() == id_digits &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string serialize(Identity const& identity) {
  return fmt::format("{{\"format\":{},\"rank\":{},\"id\":\"{}\"}}\n", identity.format,
                     identity.rank.value, identity.id);
}

Error damaged(fs::path const& path, std::string_view what) {
  return fail(ErrorKind::invalid,
              "cannot read the identity of this worker's data: {}: {}; restore that file, or start "
              "with another folder and --new and let this copy be made again",
              shown(path), what);
}

Result<Identity> parse_identity(fs::path const& path, std::span<std::byte const> bytes) {
  auto const json = nlohmann::json::parse(text_of(bytes), nullptr, false);
  if (!json.is_object()) return damaged(path, "it is not a JSON object");
  auto const number = [&](char const* key) -> std::optional<std::uint32_t> {
    auto const found = json.find(key);
    if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
    auto const value = found->get<std::uint64_t>();
    if (value > UINT32_MAX) return std::nullopt;
    return static_cast<std::uint32_t>(value);
  };
  auto const format = number("format");
  if (!format) return damaged(path, "it has no format number");
  if (*format > DataFolder::format_version) {
    return fail(ErrorKind::invalid,
                "cannot use {}: it has format {}, and this grove knows {}; update grove",
                shown(path.parent_path()), *format, DataFolder::format_version);
  }
  auto const rank = number("rank");
  auto const id = json.find("id");
  if (*format == 0 || !rank || id == json.end() || !id->is_string() ||
      !is_id(id->get<std::string>())) {
    return damaged(path, "format, rank or id is not what grove writes");
  }
  return Identity{.format = *format, .rank = Rank{*rank}, .id = id->get<std::string>()};
}

// The identity that lies in `root`; none where the folder is empty in our sense.
Result<std::optional<Identity>> find_identity(fs::path const& root) {
  auto const path = root / "identity.json";
  auto bytes = read_whole(path, identity_file_bytes_max);
  if (bytes) {
    TRY(auto identity, parse_identity(path, bytes.value().span()));
    return std::optional(std::move(identity));
  }
  if (bytes.error().kind != ErrorKind::not_found) return damaged(path, bytes.error().message);
  TRY(auto const names, list_folder(root));
  for (auto const* own : own_folders) {
    if (std::ranges::find(names, own) == names.end()) continue;
    return damaged(path, fmt::format("it is missing, but {} is here", shown(root / own)));
  }
  return std::optional<Identity>();
}

Result<void> make_own_folders(fs::path const& root) {
  for (auto const* own : own_folders) {
    TRY(make_folder(root / own));
  }
  for (unsigned prefix = 0; prefix < 256; ++prefix) {
    TRY(make_folder(root / "chunks" / fmt::format("{:02x}", prefix)));
  }
  return ok();
}

// What a process that was cut off has left half written.
Result<void> sweep_temporary_files(fs::path const& root) {
  TRY(auto const in_tmp, list_folder(root / "tmp"));
  for (auto const& name : in_tmp) {
    TRY(remove_tree(root / "tmp" / name));
  }
  TRY(auto const in_root, list_folder(root));
  for (auto const& name : in_root) {
    if (!name.starts_with(pending_prefix)) continue;
    TRY(remove_file(root / name));
  }
  return ok();
}

std::string name_away(fs::path const& root, fs::path const& path) {
  auto name = path.lexically_relative(root).native();
  std::ranges::replace(name, '/', '-');
  return name;
}

Result<void> move_away(fs::path const& root, fs::path const& path, fs::path const& into) {
  auto const moved = rename_file(path, into / name_away(root, path));
  if (!moved) {
    if (moved.error().kind == ErrorKind::not_found) return ok();
    return moved;
  }
  TRY(sync_folder(into));
  return sync_folder(path.parent_path());
}

}  // namespace

DataFolder::DataFolder(fs::path root, Rank rank, std::string id, FileLock lock)
    : root_(std::move(root)), rank_(rank), id_(std::move(id)), lock_(std::move(lock)) {}

Result<DataFolder> DataFolder::open(fs::path const& root, Rank rank, EmptyFolder empty) {
  TRY(auto found, find_identity(root));
  if (!found && empty == EmptyFolder::refuse) {
    return fail(ErrorKind::invalid,
                "cannot use {}: it is empty or missing, as a disk that is not mounted would be; "
                "mount it, or pass --new if this is a new disk",
                shown(root));
  }
  TRY(grove::make_folders(root));
  auto lock = FileLock::acquire(root / "lock");
  if (!lock) {
    if (lock.error().kind != ErrorKind::conflict) return lock.error();
    return fail(ErrorKind::conflict,
                "another grove worker uses {}; stop it, or give this one another --data",
                shown(root));
  }
  // Another process may have adopted the folder before we had the lock.
  TRY(found, find_identity(root));
  if (!found) {
    // The identity comes first: folders of ours without one are damage.
    found = Identity{.format = format_version, .rank = rank, .id = random_hex(id_digits / 2)};
    auto const text = serialize(*found);
    TRY(write_durably(root / "identity.json", bytes_of(text)));
  }
  if (found->rank != rank) {
    return fail(ErrorKind::invalid,
                "cannot use {}: it belongs to rank {}, not {}; give --rank {} or another --data",
                shown(root), found->rank.value, rank.value, found->rank.value);
  }
  TRY(make_own_folders(root));
  TRY(sweep_temporary_files(root));
  TRY(sync_file_system(root));
  return DataFolder(root, rank, found->id, std::move(lock).value());
}

Result<std::optional<FolderIdentity>> DataFolder::identity_of(fs::path const& root) {
  TRY(auto const found, find_identity(root));
  if (!found) return std::optional<FolderIdentity>();
  return std::optional(FolderIdentity{.rank = found->rank, .id = found->id});
}

Result<void> DataFolder::check_mounted() const {
  auto const found = find_identity(root_);
  if (found && found.value() && found.value()->id == id_) return ok();
  return fail(ErrorKind::unavailable,
              "{}: what lies there is not the data of this worker any more: is its disk still "
              "mounted? Mount it and start the worker again",
              shown(root_));
}

Result<void> DataFolder::write(fs::path const& path, std::span<std::byte const> bytes) const {
  TRY(auto pending, PendingFile::create(tmp()));
  TRY(pending.file().write_at(bytes, 0));
  TRY(noted(pending.commit_as(path)));
  return noted(sync_folder(path.parent_path()));
}

Result<void> DataFolder::make_folders(fs::path const& path) const {
  return noted(grove::make_folders(path));
}

Result<void> DataFolder::noted(Result<void> durable) const {
  // A full disk says so and can be trusted.
  if (!durable && durable.error().kind == ErrorKind::internal) *must_reopen_ = true;
  return durable;
}

Result<void> DataFolder::move_to_quarantine(fs::path const& path) const {
  return noted(move_away(root_, path, quarantine()));
}

fs::path DataFolder::trash_path(fs::path const& path) const {
  return trash() / name_away(root_, path);
}

Result<void> DataFolder::move_to_trash(fs::path const& path) const {
  return noted(move_away(root_, path, trash()));
}

}  // namespace grove
