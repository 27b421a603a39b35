// Files and folders, with errors as values. The only place in grove that opens, syncs or renames,
// so that "is this durable?" has one answer to read.
//
// Durable write, everywhere: write to a temporary name in the same file system, fdatasync, rename,
// fsync the folder. A failure leaves nothing behind.
// errno becomes an ErrorKind here and nowhere else: ENOENT not_found; ENOSPC, EDQUOT, EFBIG,
// EMFILE, ENFILE exhausted; EEXIST conflict; EACCES, EPERM, EROFS, ENOTDIR, EISDIR, ELOOP, EXDEV,
// ENAMETOOLONG invalid; all others (EIO too) internal. Messages name the path and the cause.
// Threads: free functions are safe from any thread; a File's positional reads and writes too.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"

namespace grove {

// What identifies the bytes of a file at one moment: while all of it is equal before and after,
// the file was not changed in between (ctime cannot be set back by a user).
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t mode = 0;  // permission bits only

  friend bool operator==(FileStamp const&, FileStamp const&) = default;
};

// What becomes of what was read or written: it stays in the page cache for who reads it soon, or
// not.
enum class CacheUse { keep, drop_behind };
// Files of more than half the memory would push out everything, themselves included.
CacheUse cache_use_for(std::uint64_t file_bytes);

// An open file descriptor. Move-only; closed at the end of its life.
class File {
 public:
  File() = default;
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;

  // Anything but a regular file is `invalid`, and is not waited for (a pipe).
  static Result<File> open_readonly(std::filesystem::path const& path);
  // Opens `relative` beneath `root` with openat2 and RESOLVE_BENEATH: links inside `root` are
  // followed, a path that leads out of it, or that has ".." in it, is `invalid`. Anything but a
  // regular file is `invalid`. `root` itself may be a link.
  static Result<File> open_beneath(std::filesystem::path const& root,
                                   std::filesystem::path const& relative);
  // Creates `path` for reading and writing; fails with conflict if it exists.
  static Result<File> create(std::filesystem::path const& path, std::uint32_t mode = 0644);

  // The same file once more, to be written past the page cache: offsets, lengths and memory in
  // multiples of the disk's blocks (open(2), O_DIRECT). Nothing where the file system has no such
  // way.
  std::optional<File> reopen_past_cache() const;

  // Reads up to bytes.size() at `offset`; fewer only at the end of the file.
  Result<std::size_t> read_at(std::span<std::byte> bytes, std::uint64_t offset) const;
  // Reads exactly bytes.size(). Fails: corrupt when the file ends before.
  Result<void> read_exactly_at(std::span<std::byte> bytes, std::uint64_t offset) const;
  // Writes all of `bytes` at `offset`.
  Result<void> write_at(std::span<std::byte const> bytes, std::uint64_t offset);
  // Reserves the blocks of the first `size` bytes, so that a full disk is noticed now.
  // A file system that cannot reserve is not an error.
  Result<void> reserve(std::uint64_t size);
  Result<void> truncate(std::uint64_t size);

  // fdatasync. After a failure nothing written since the last success may be trusted.
  Result<void> sync_data();
  // Starts writing dirty pages back without waiting (sync_file_range); only a hint.
  void start_writeback(std::uint64_t offset, std::uint64_t size);
  // Tells the kernel that the range will be read in order, or is not needed again; only hints.
  void will_read_in_order();
  void drop_cache(std::uint64_t offset, std::uint64_t size);

  Result<FileStamp> stamp() const;
  Result<void> set_mode_and_mtime(std::uint32_t mode, std::int64_t mtime_ns);
  // A user extended attribute (`name` without the "user." prefix).
  // set: false where the file system has none. get: nullopt where there is none of that name.
  Result<bool> set_attribute(std::string const& name, std::string const& value);
  Result<std::optional<std::string>> attribute(std::string const& name) const;

  std::filesystem::path const& path() const { return path_; }
  bool is_open() const { return fd_ >= 0; }
  void close();

 private:
  friend class FileLock;
  friend class PendingFile;

  File(int fd, std::filesystem::path path);
  int fd_ = -1;
  std::filesystem::path path_;
};

// Reads `file`, which must outlive it, from its start, piece by piece; 0 is the end.
std::function<Result<std::size_t>(std::span<std::byte>)> reader_of(File const& file);

// A file that is visible under its final name only once it is complete. Removed if not committed.
class PendingFile {
 public:
  // Creates an empty file with a name of its own in `folder` (hidden, prefix ".grove-").
  static Result<PendingFile> create(std::filesystem::path const& folder, std::uint32_t mode = 0644);
  PendingFile(PendingFile&&) noexcept;
  PendingFile& operator=(PendingFile&&) noexcept;
  ~PendingFile();

  File& file() { return file_; }
  // fdatasync and rename over `path`; the folder entry is durable only after sync_folder().
  Result<void> commit_as(std::filesystem::path const& path);

 private:
  explicit PendingFile(File file) : file_(std::move(file)) {}
  void discard();

  File file_;
  bool committed_ = false;
};

// Holds an exclusive lock (flock) on `path` for its lifetime; the file is created if missing.
class FileLock {
 public:
  // Fails: conflict when another process holds it.
  static Result<FileLock> acquire(std::filesystem::path const& path);

 private:
  explicit FileLock(File file) : file_(std::move(file)) {}
  File file_;
};

struct Space {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // to an ordinary user
};

// Writes `bytes` to `path` durably (see the head of this file). An existing file is replaced.
Result<void> write_durably(std::filesystem::path const& path, std::span<std::byte const> bytes);
// Reads a whole small file. Fails: not_found; exhausted when it is larger than `bytes_max`,
// conflict when it grows meanwhile.
Result<Buffer> read_whole(std::filesystem::path const& path, std::uint64_t bytes_max);

Result<FileStamp> stamp_of(std::filesystem::path const& path);
Result<FileStamp> stamp_beneath(std::filesystem::path const& root,
                                std::filesystem::path const& relative);
// One folder, not its parents; one that is there is fine. Not durable before a sync of its parent.
Result<void> make_folder(std::filesystem::path const& path);
// mkdir -p; the new entries are made durable, also those that another thread has just made.
Result<void> make_folders(std::filesystem::path const& path);
Result<void> sync_folder(std::filesystem::path const& path);
// syncfs: everything written to the file system of `path` is durable afterwards.
Result<void> sync_file_system(std::filesystem::path const& path);
Result<void> rename_file(std::filesystem::path const& from, std::filesystem::path const& to);
// Removing what is not there is fine.
Result<void> remove_file(std::filesystem::path const& path);
Result<void> remove_tree(std::filesystem::path const& path);
// Names (not paths) of the entries, sorted. A folder that is not there is empty.
Result<std::vector<std::string>> list_folder(std::filesystem::path const& path);
Result<Space> space_of(std::filesystem::path const& path);

}  // namespace grove
