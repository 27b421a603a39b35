#include "watcher/folder_tree.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "watcher/candidate.h"

namespace grove {

// One record of an inotify descriptor (inotify(7)).
struct EventView {
  int watch = -1;
  std::uint32_t mask = 0;
  std::string_view name;  // empty: the watched folder itself
};

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t interest = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |
                                   IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr std::size_t events_bytes = 64 * 1024;
// Of one call: a tree that is written to without a pause must not keep it from ever returning.
constexpr int reads_max = 64;

std::string joined(std::string const& folder, std::string_view name) {
  return folder.empty() ? std::string(name) : folder + "/" + std::string(name);
}

bool is_below(std::string_view path, std::string_view folder) {
  return path == folder ||
         (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/');
}

}  // namespace

std::optional<FileVersion> version_of(fs::path const& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileVersion{
      .inode = status.st_ino,
      .size = static_cast<std::uint64_t>(status.st_size),
      .mtime_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

FolderTree::FolderTree(fs::path root, std::vector<std::string> extensions)
    : root_(std::move(root)), extensions_(std::move(extensions)) {}

void FolderTree::begin_watching() {
  if (std::exchange(has_missed_, false)) stop_watching();
  if (is_told() || has_given_up_) return;
  events_ = Descriptor(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!is_told()) give_up(std::generic_category().message(errno));
}

void FolderTree::give_up(std::string const& why) {
  if (!std::exchange(has_complained_, true)) {
    spdlog::warn(
        "watcher: inotify cannot watch all folders under {}: {}; scanning them instead; for "
        "inotify raise fs.inotify.max_user_watches (or max_user_instances)",
        printable(root_.native()), why);
  }
  has_given_up_ = true;
  stop_watching();
}

void FolderTree::stop_watching() {
  events_ = Descriptor(-1);
  folders_.clear();
  watches_.clear();
}

void FolderTree::watch(std::string const& folder) {
  if (!is_told()) return;
  // The root may be a link.
  auto const mask = folder.empty() ? interest : interest | IN_DONT_FOLLOW;
  int const watch = ::inotify_add_watch(events_.get(), path_of(folder).c_str(), mask);
  if (watch < 0) {
    // ENOSPC is the limit of watches. What is gone or cannot be read has no files to take either.
    if (errno == ENOSPC || errno == ENOMEM) {
      give_up(errno == ENOSPC ? "there are more folders than it may watch" : "out of memory");
    }
    return;
  }
  // A folder that was renamed keeps its watch.
  if (auto const known = folders_.find(watch); known != folders_.end()) {
    watches_.erase(known->second);
  }
  folders_[watch] = folder;
  watches_[folder] = watch;
}

void FolderTree::unwatch_below(std::string const& folder) {
  for (auto entry = watches_.lower_bound(folder);
       entry != watches_.end() && entry->first.starts_with(folder);) {
    if (!is_below(entry->first, folder)) {
      ++entry;
      continue;
    }
    std::ignore = ::inotify_rm_watch(events_.get(), entry->second);  // gone with a deleted folder
    folders_.erase(entry->second);
    entry = watches_.erase(entry);
  }
}

void FolderTree::read_below(std::string const& top, std::vector<FoundFile>& found) {
  std::vector<std::string> folders{top};
  while (!folders.empty()) {
    auto const folder = std::move(folders.back());
    folders.pop_back();
    // Before it is read: what comes into it afterwards is told, what came before is read.
    watch(folder);
    std::error_code error;
    for (fs::directory_iterator entry(path_of(folder), error), end; !error && entry != end;
         entry.increment(error)) {
      auto const name = entry->path().filename().native();
      std::error_code status_error;
      auto const type = entry->symlink_status(status_error).type();
      auto path = joined(folder, name);
      if (type == fs::file_type::directory) {
        if (is_watched_folder(name)) folders.push_back(std::move(path));
        continue;
      }
      auto const kind = kind_of_file(path, extensions_);
      if (type != fs::file_type::regular) continue;
      if (kind != NameKind::taken && kind != NameKind::merged) continue;
      auto const version = version_of(entry->path());
      if (version) found.push_back({.path = std::move(path), .version = version});
    }
    if (error && error != std::errc::no_such_file_or_directory &&
        unreadable_.insert(folder).second) {
      spdlog::warn("watcher: cannot read {}: {}; its files are not taken",
                   printable(path_of(folder).native()), error.message());
    }
  }
}

Result<std::vector<FoundFile>> FolderTree::read() {
  std::error_code error;
  fs::directory_iterator const root(root_, error);
  if (error) {
    return fail(ErrorKind::not_found, "cannot read ckpt_root {}: {}", printable(root_.native()),
                error.message());
  }
  begin_watching();
  std::vector<FoundFile> found;
  read_below("", found);
  if (is_told() && std::exchange(has_complained_, false)) {
    spdlog::info("watcher: inotify watches all folders under {} again", printable(root_.native()));
  }
  return found;
}

void FolderTree::take_event(EventView const& event, std::set<std::string>& touched,
                            TreeChanges& changes) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    has_missed_ = true;
    changes.must_read = true;
    return;
  }
  auto const known = folders_.find(event.watch);
  if (known == folders_.end()) return;
  auto const folder = known->second;
  if ((event.mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
    // A folder's parent tells of its going; the root has nobody else to.
    if (folder.empty()) changes.must_read = true;
    if ((event.mask & IN_IGNORED) != 0) {
      auto const watch = watches_.find(folder);
      if (watch != watches_.end() && watch->second == event.watch) watches_.erase(watch);
      folders_.erase(event.watch);
    }
    return;
  }
  if (event.name.empty()) return;
  auto const path = joined(folder, event.name);
  if ((event.mask & IN_ISDIR) == 0) {
    auto const kind = kind_of_file(path, extensions_);
    if (kind == NameKind::taken || kind == NameKind::merged) touched.insert(path);
    return;
  }
  if ((event.mask & (IN_MOVED_FROM | IN_DELETE)) != 0) {
    unwatch_below(path);
    changes.gone_folders.push_back(path);
  }
  if ((event.mask & (IN_MOVED_TO | IN_CREATE)) != 0 && is_watched_folder(event.name)) {
    std::vector<FoundFile> found;
    read_below(path, found);
    for (auto& file : found) touched.insert(std::move(file.path));
  }
}

TreeChanges FolderTree::take_changes() {
  TreeChanges changes;
  std::set<std::string> touched;
  std::vector<char> buffer(events_bytes);
  for (int reads = 0; reads < reads_max && is_told(); ++reads) {
    auto const size = ::read(events_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    for (std::size_t offset = 0; offset < static_cast<std::size_t>(size) && is_told();) {
      inotify_event header{};
      std::memcpy(&header, buffer.data() + offset, sizeof header);
      // The name is padded with NULs.
      std::string_view const name(header.len == 0 ? "" : buffer.data() + offset + sizeof header);
      take_event({.watch = header.wd, .mask = header.mask, .name = name}, touched, changes);
      offset += sizeof header + header.len;
    }
  }
  // Events were lost with the watches.
  if (!is_told()) changes.must_read = true;
  for (auto const& path : touched) {
    changes.files.push_back({.path = path, .version = version_of(path_of(path))});
  }
  return changes;
}

}  // namespace grove
