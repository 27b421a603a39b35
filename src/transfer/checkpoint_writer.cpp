#include "transfer/checkpoint_writer.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/origin_mark.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

// FAT keeps times to two seconds, and no attributes.
constexpr std::uint64_t mtime_slack_ns = 2'000'000'000;
// Another writer's sweep may take a file between its creation and its lock; not so often in a row.
constexpr int create_tries_max = 16;

fs::path folder_of(fs::path const& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

Result<std::optional<FileStamp>> stamp_if_there(fs::path const& path) {
  auto stamp = stamp_of(path);
  if (stamp) return std::optional(stamp.value());
  if (stamp.error().kind == ErrorKind::not_found) return std::optional<FileStamp>();
  return std::move(stamp).error();
}

// Mode and ctime may change under a file's content; the content was not touched.
bool same_content(std::optional<FileStamp> const& one, std::optional<FileStamp> const& other) {
  if (!one || !other) return one.has_value() == other.has_value();
  return one->device == other->device && one->inode == other->inode && one->size == other->size &&
         one->mtime_ns == other->mtime_ns;
}

// A temporary file with a lock on it for as long as its writer lives.
struct LockedFile {
  std::optional<FileLock> lock;  // none where the file system has no locks
  PendingFile pending;           // after the lock, so that it goes first
};

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

// Exactly the names PendingFile makes, ".grove-<pid>-<count>-<16 hex digits>": in a folder of
// checkpoints a user may keep anything else.
bool is_pending_name(std::string_view name) {
  constexpr std::string_view prefix = ".grove-";
  constexpr std::string_view digits = "0123456789";
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  auto const first = name.find('-');
  auto const last = name.rfind('-');
  return first < last && last != std::string_view::npos && all_of(name.substr(0, first), digits) &&
         all_of(name.substr(first + 1, last - first - 1), digits) &&
         name.substr(last + 1).size() == 16 && all_of(name.substr(last + 1), "0123456789abcdef");
}

// Removes temporary files of writers that were killed: nobody holds their locks. Failures leave a
// file for the next sweep; the new file's own creation tells what is wrong with the folder.
void sweep_abandoned(fs::path const& folder) {
  auto const names = list_folder(folder);
  if (!names) return;
  for (std::string const& name : names.value()) {
    if (is_pending_name(name)) {
      auto const lock = FileLock::acquire(folder / name);
      if (lock) std::ignore = remove_file(folder / name);
    }
  }
}

Result<LockedFile> create_locked(fs::path const& folder) {
  for (int tries = 0; tries < create_tries_max; ++tries) {
    // Private until it has the source's mode.
    TRY(auto pending, PendingFile::create(folder, 0600));
    fs::path const path = pending.file().path();
    auto lock = FileLock::acquire(path);
    if (!lock) {
      if (lock.error().kind == ErrorKind::conflict) continue;
      return LockedFile{.lock = std::nullopt, .pending = std::move(pending)};
    }
    // Where a sweep was faster, the lock is on a new, empty file of that name.
    TRY(auto const created, pending.file().stamp());
    TRY(auto const named, stamp_if_there(path));
    if (named && named->inode == created.inode) {
      return LockedFile{.lock = std::move(lock).value(), .pending = std::move(pending)};
    }
  }
  return fail(ErrorKind::unavailable, "cannot write in {}: its temporary files are being removed",
              printable(folder.native()));
}

// The bytes that have been written, as ranges that do not touch.
class Coverage {
 public:
  void add(std::uint64_t begin, std::uint64_t end) {
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin()) {
      auto const before = std::prev(next);
      if (before->second >= begin) {
        begin = before->first;
        end = std::max(end, before->second);
        ranges_.erase(before);
      }
    }
    while (next != ranges_.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(begin, end);
  }

  // The first byte that has not been written.
  std::uint64_t first_gap() const {
    return ranges_.empty() || ranges_.begin()->first > 0 ? 0 : ranges_.begin()->second;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin → end
};

}  // namespace

struct CheckpointWriter::State {
  Options options;
  std::optional<FileStamp> replaced;  // what was there at the start
  LockedFile locked;
  std::mutex mutex;   // of writes
  Coverage coverage;  // guarded by mutex
  bool is_committed = false;
};

CheckpointWriter::CheckpointWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointWriter::~CheckpointWriter() = default;
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&&) noexcept = default;

Result<CheckpointWriter> CheckpointWriter::create(Options options) {
  fs::path const folder = folder_of(options.path);
  if (options.make_folders) {
    TRY(make_folders(folder));
  }
  sweep_abandoned(folder);
  TRY(auto const space, space_of(folder));
  if (space.free_bytes < options.file_bytes) {
    return fail(ErrorKind::exhausted,
                "cannot write {}: it needs {} bytes and {} are free on that disk; free some space "
                "or choose another place",
                printable(options.path.native()), options.file_bytes, space.free_bytes);
  }
  TRY(auto replaced, stamp_if_there(options.path));
  TRY(auto locked, create_locked(folder));
  TRY(locked.pending.file().reserve(options.file_bytes));
  return CheckpointWriter(std::unique_ptr<State>(new State{.options = std::move(options),
                                                           .replaced = std::move(replaced),
                                                           .locked = std::move(locked),
                                                           .mutex = {},
                                                           .coverage = {},
                                                           .is_committed = false}));
}

Result<void> CheckpointWriter::write(std::span<std::byte const> raw, std::uint64_t offset) {
  GROVE_ASSERT(!state_->is_committed);
  Options const& options = state_->options;
  if (raw.size() > options.file_bytes || offset > options.file_bytes - raw.size()) {
    return fail(ErrorKind::internal, "cannot write {} bytes at byte {} of {}: it has {} bytes",
                raw.size(), offset, printable(options.path.native()), options.file_bytes);
  }
  if (raw.empty()) return ok();
  File& file = state_->locked.pending.file();
  {
    // The kernel takes one write to a file at a time; who waits for it there spins.
    std::scoped_lock const lock(state_->mutex);
    TRY(file.write_at(raw, offset));
    state_->coverage.add(offset, offset + raw.size());
  }
  // The disk works while the next chunks come, not all at once at the end.
  file.start_writeback(offset, raw.size());
  return ok();
}

Result<std::size_t> CheckpointWriter::read_at(std::span<std::byte> bytes,
                                              std::uint64_t offset) const {
  return state_->locked.pending.file().read_at(bytes, offset);
}

Result<void> CheckpointWriter::redirect(fs::path path) {
  TRY(make_folders(folder_of(path)));
  TRY(state_->replaced, stamp_if_there(path));
  state_->options.path = std::move(path);
  return ok();
}

Result<void> CheckpointWriter::commit() {
  GROVE_ASSERT(!state_->is_committed);
  Options const& options = state_->options;
  {
    std::scoped_lock const lock(state_->mutex);
    std::uint64_t const written = state_->coverage.first_gap();
    if (written != options.file_bytes) {
      return fail(ErrorKind::internal, "cannot finish {}: byte {} of {} was never written",
                  printable(options.path.native()), written, options.file_bytes);
    }
  }
  PendingFile& pending = state_->locked.pending;
  // A file without its mark is as good; it only may have to be moved away by hand later on. Before
  // the mode is set, since a read-only file takes no attribute.
  auto const mark = origin_mark(options.mark, options.file_bytes, options.mtime_ns);
  std::ignore = pending.file().set_attribute(origin_mark_name, mark);
  TRY(pending.file().set_mode_and_mtime(options.mode, options.mtime_ns));
  // The long wait for the disk lies in front of the last look at what is there.
  TRY(pending.file().sync_data());
  TRY(auto const there, stamp_if_there(options.path));
  if (!same_content(there, state_->replaced)) {
    return fail(
        ErrorKind::conflict,
        "cannot finish {}: another file was put there meanwhile; move it away and try again",
        printable(options.path.native()));
  }
  TRY(pending.commit_as(options.path));
  state_->is_committed = true;
  return sync_folder(folder_of(options.path));
}

Result<ExistingFile> inspect_existing(fs::path const& path, std::uint64_t file_bytes,
                                      std::int64_t mtime_ns) {
  std::error_code status_error;
  fs::file_type const type = fs::symlink_status(path, status_error).type();
  if (type == fs::file_type::not_found) return ExistingFile::none;
  if (type == fs::file_type::none) {
    return fail(ErrorKind::invalid, "cannot examine {}: {}", printable(path.native()),
                status_error.message());
  }
  if (type != fs::file_type::regular) return ExistingFile::foreign;
  auto const opened = File::open_readonly(path);
  if (!opened) {
    // Grove stores only what it can read, and gives it back with the same mode.
    if (opened.error().kind == ErrorKind::invalid) return ExistingFile::foreign;
    if (opened.error().kind == ErrorKind::not_found) return ExistingFile::none;
    return opened.error();
  }
  File const& file = opened.value();
  TRY(auto const origin, origin_of(file));
  // A file that a user has written over in place still carries the mark, with another time in it.
  if (origin != Origin::unmarked) {
    return origin == Origin::grove ? ExistingFile::ours : ExistingFile::foreign;
  }
  TRY(auto const stamp, file.stamp());
  auto const [earlier, later] = std::minmax(stamp.mtime_ns, mtime_ns);
  // Unsigned, since a manifest may hold any time.
  std::uint64_t const apart =
      static_cast<std::uint64_t>(later) - static_cast<std::uint64_t>(earlier);
  if (stamp.size != file_bytes || apart >= mtime_slack_ns) return ExistingFile::foreign;
  // As grove would have left it, but without a mark: a user's copy, or a file system that keeps
  // none. A file of our own beside it tells which.
  TRY(auto probe, PendingFile::create(folder_of(path), 0600));
  TRY(auto const keeps_marks, probe.file().set_attribute(origin_mark_name, "probe"));
  return keeps_marks ? ExistingFile::foreign : ExistingFile::ours;
}

}  // namespace grove
