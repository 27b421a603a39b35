#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <system_error>
#include <tuple>

#include "base/beneath.h"
#include "base/descriptor.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t permission_bits = 0777;

int open_retrying(fs::path const& path, int flags, std::uint32_t mode = 0) {
  return without_interruption([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
}

std::int64_t nanoseconds(struct timespec const& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileStamp stamp_from(struct stat const& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = nanoseconds(status.st_mtim),
          .ctime_ns = nanoseconds(status.st_ctim),
          .mode = status.st_mode & permission_bits};
}

fs::path folder_of(fs::path const& path) {
  fs::path folder = path.parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

std::string pending_name() {
  static std::atomic<std::uint64_t> counter{0};
  std::uint64_t random = 0;
  // Without random bytes the name is still unique in this process; O_EXCL guards the rest.
  std::ignore = ::getrandom(&random, sizeof random, 0);
  return fmt::format(".grove-{}-{}-{:016x}", ::getpid(), counter.fetch_add(1), random);
}

}  // namespace

// --- File ---

File::File(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}

File::~File() {
  close();
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::exchange(other.path_, {})) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

void File::close() {
  // What matters was synced before; there is nothing to do about a failing close, and Linux frees
  // the descriptor in any case.
  if (fd_ >= 0) std::ignore = ::close(fd_);
  fd_ = -1;
}

Result<File> File::open_readonly(fs::path const& path) {
  TRY(auto fd, only_regular(open_retrying(path, read_flags), path));
  return File(fd.release(), path);
}

Result<File> File::open_beneath(fs::path const& root, fs::path const& relative) {
  Descriptor folder(open_retrying(root, O_PATH | O_DIRECTORY));
  if (folder.get() < 0) return file_error("open the folder", root, errno);
  TRY(auto fd, resolve_beneath(std::move(folder), root, relative));
  return File(fd.release(), root / relative);
}

Result<File> File::create(fs::path const& path, std::uint32_t mode) {
  int const fd = open_retrying(path, O_RDWR | O_CREAT | O_EXCL, mode);
  if (fd < 0) return file_error("create", path, errno);
  return File(fd, path);
}

std::optional<File> File::reopen_past_cache() const {
  int const fd = open_retrying(path_, O_WRONLY | O_DIRECT | O_NOFOLLOW);
  if (fd < 0) return std::nullopt;
  return File(fd, path_);
}

Result<std::size_t> File::read_at(std::span<std::byte> bytes, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    auto const count = without_interruption([&] {
      return ::pread(fd_, bytes.data() + done, bytes.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (count < 0) return file_error("read", path_, errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> File::read_exactly_at(std::span<std::byte> bytes, std::uint64_t offset) const {
  TRY(auto const count, read_at(bytes, offset));
  if (count < bytes.size()) {
    return fail(ErrorKind::corrupt, "cannot read {}: it ends at byte {}, before byte {}",
                printable(path_.native()), offset + count, offset + bytes.size());
  }
  return ok();
}

std::function<Result<std::size_t>(std::span<std::byte>)> reader_of(File const& file) {
  return [&file,
          offset = std::uint64_t{0}](std::span<std::byte> bytes) mutable -> Result<std::size_t> {
    TRY(auto const count, file.read_at(bytes, offset));
    offset += count;
    return count;
  };
}

Result<void> File::write_at(std::span<std::byte const> bytes, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    auto const count = without_interruption([&] {
      return ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                      static_cast<off_t>(offset + done));
    });
    if (count < 0) return file_error("write", path_, errno);
    done += static_cast<std::size_t>(count);
  }
  return ok();
}

Result<void> File::reserve(std::uint64_t size) {
  if (size == 0) return ok();
  // Not posix_fallocate: where the file system cannot, glibc would write the blocks one by one.
  int const result = without_interruption(
      [&] { return ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)); });
  if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
    return file_error("reserve space for", path_, errno);
  }
  return ok();
}

Result<void> File::truncate(std::uint64_t size) {
  if (without_interruption([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
    return file_error("resize", path_, errno);
  }
  return ok();
}

Result<void> File::sync_data() {
  if (without_interruption([&] { return ::fdatasync(fd_); }) != 0) {
    return file_error("make durable", path_, errno);
  }
  return ok();
}

void File::start_writeback(std::uint64_t offset, std::uint64_t size) {
  std::ignore = ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(size),
                                  SYNC_FILE_RANGE_WRITE);
}

void File::will_read_in_order() {
  std::ignore = ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void File::drop_cache(std::uint64_t offset, std::uint64_t size) {
  std::ignore = ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size),
                                POSIX_FADV_DONTNEED);
}

Result<FileStamp> File::stamp() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return file_error("examine", path_, errno);
  return stamp_from(status);
}

Result<void> File::set_mode_and_mtime(std::uint32_t mode, std::int64_t mtime_ns) {
  if (::fchmod(fd_, mode & permission_bits) != 0)
    return file_error("set the mode of", path_, errno);
  constexpr std::int64_t second = 1'000'000'000;
  std::int64_t const fraction = ((mtime_ns % second) + second) % second;  // also before 1970
  struct timespec const times[2] = {
      {.tv_sec = 0, .tv_nsec = UTIME_OMIT},
      {.tv_sec = (mtime_ns - fraction) / second, .tv_nsec = fraction}};
  if (::futimens(fd_, times) != 0) return file_error("set the time of", path_, errno);
  return ok();
}

Result<bool> File::set_attribute(std::string const& name, std::string const& value) {
  std::string const full_name = "user." + name;
  if (::fsetxattr(fd_, full_name.c_str(), value.data(), value.size(), 0) == 0) return true;
  if (errno == EOPNOTSUPP) return false;
  return file_error("set an attribute of", path_, errno);
}

Result<std::optional<std::string>> File::attribute(std::string const& name) const {
  std::string const full_name = "user." + name;
  std::string value(XATTR_SIZE_MAX, '\0');
  auto const size = ::fgetxattr(fd_, full_name.c_str(), value.data(), value.size());
  if (size >= 0) {
    value.resize(static_cast<std::size_t>(size));
    return std::optional(std::move(value));
  }
  if (errno == ENODATA || errno == EOPNOTSUPP) return std::optional<std::string>();
  return file_error("read an attribute of", path_, errno);
}

// --- PendingFile ---

Result<PendingFile> PendingFile::create(fs::path const& folder, std::uint32_t mode) {
  TRY(auto file, File::create(folder / pending_name(), mode));
  return PendingFile(std::move(file));
}

PendingFile::PendingFile(PendingFile&&) noexcept = default;

PendingFile& PendingFile::operator=(PendingFile&& other) noexcept {
  if (this != &other) {
    discard();
    file_ = std::move(other.file_);
    committed_ = other.committed_;
  }
  return *this;
}

PendingFile::~PendingFile() {
  discard();
}

void PendingFile::discard() {
  // The path, not the descriptor, tells whether there is a file: the owner may have closed it.
  if (committed_ || file_.path().empty()) return;
  file_.close();
  // Nobody is left to tell; what stays is swept at the next start by its name.
  std::ignore = remove_file(file_.path());
}

Result<void> PendingFile::commit_as(fs::path const& path) {
  GROVE_ASSERT(file_.is_open() && !committed_);
  TRY(file_.sync_data());
  TRY(rename_file(file_.path(), path));
  committed_ = true;
  file_.path_ = path;
  return ok();
}

// --- FileLock ---

Result<FileLock> FileLock::acquire(fs::path const& path) {
  int const fd = open_retrying(path, O_RDWR | O_CREAT | O_NOCTTY, 0644);
  if (fd < 0) return file_error("open", path, errno);
  File file(fd, path);
  if (without_interruption([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(ErrorKind::conflict, "cannot lock {}: another process holds it",
                  printable(path.native()));
    }
    return file_error("lock", path, errno);
  }
  return FileLock(std::move(file));
}

// --- whole files, folders, file systems ---

Result<void> write_durably(fs::path const& path, std::span<std::byte const> bytes) {
  TRY(auto pending, PendingFile::create(folder_of(path)));
  TRY(pending.file().write_at(bytes, 0));
  TRY(pending.commit_as(path));
  return sync_folder(folder_of(path));
}

Result<Buffer> read_whole(fs::path const& path, std::uint64_t bytes_max) {
  TRY(auto const file, File::open_readonly(path));
  TRY(auto const stamp, file.stamp());
  if (stamp.size > bytes_max) {
    return fail(ErrorKind::exhausted, "cannot read {}: {} bytes are more than the {} allowed",
                printable(path.native()), stamp.size, bytes_max);
  }
  Buffer buffer(stamp.size + 1);  // one more, to see that the file has grown
  TRY(auto const count, file.read_at(buffer.span(), 0));
  if (count > stamp.size) {
    return fail(ErrorKind::conflict, "cannot read {}: it grew meanwhile; try again",
                printable(path.native()));
  }
  buffer.shrink(count);
  return buffer;
}

Result<FileStamp> stamp_of(fs::path const& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return file_error("examine", path, errno);
  return stamp_from(status);
}

Result<FileStamp> stamp_beneath(fs::path const& root, fs::path const& relative) {
  TRY(auto const file, File::open_beneath(root, relative));
  return file.stamp();
}

Result<void> make_folder(fs::path const& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return ok();
  if (errno != EEXIST) return file_error("make the folder", path, errno);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return file_error("examine", path, errno);
  if (!S_ISDIR(status.st_mode)) return file_error("make the folder", path, ENOTDIR);
  return ok();
}

namespace {

Result<void> make_folder_and_parents(fs::path const& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return sync_folder(folder_of(path));
  if (errno == EEXIST) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return file_error("examine", path, errno);
    if (!S_ISDIR(status.st_mode)) return file_error("make the folder", path, ENOTDIR);
    return ok();
  }
  fs::path const parent = folder_of(path);
  if (errno != ENOENT || parent == path || path == ".") {
    return file_error("make the folder", path, errno);
  }
  TRY(make_folder_and_parents(parent));
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return file_error("make the folder", path, errno);
  }
  return sync_folder(parent);
}

}  // namespace

Result<void> make_folders(fs::path const& path) {
  // Who finds the folder there must not go on before its maker has made it durable.
  static std::mutex one_at_a_time;
  std::lock_guard const lock(one_at_a_time);
  return make_folder_and_parents(path);
}

Result<void> sync_folder(fs::path const& path) {
  Descriptor const folder(open_retrying(path, O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0) return file_error("open the folder", path, errno);
  if (without_interruption([&] { return ::fsync(folder.get()); }) != 0) {
    return file_error("make durable", path, errno);
  }
  return ok();
}

Result<void> sync_file_system(fs::path const& path) {
  Descriptor const any(open_retrying(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (any.get() < 0) return file_error("open", path, errno);
  if (::syncfs(any.get()) != 0) return file_error("make durable the file system of", path, errno);
  return ok();
}

Result<void> rename_file(fs::path const& from, fs::path const& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return fail(kind_of_errno(errno), "cannot rename {} to {}: {}", printable(from.native()),
                printable(to.native()), cause_and_advice(errno));
  }
  return ok();
}

Result<void> remove_file(fs::path const& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return file_error("remove", path, errno);
  return ok();
}

Result<void> remove_tree(fs::path const& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return file_error("remove", path, error.value());
  return ok();
}

Result<std::vector<std::string>> list_folder(fs::path const& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(path, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  while (!error && entry != fs::directory_iterator()) {
    names.push_back(entry->path().filename().native());
    entry.increment(error);
  }
  if (error) return file_error("list", path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<Space> space_of(fs::path const& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return file_error("examine the disk of", path, errno);
  return Space{.total_bytes = std::uint64_t{status.f_blocks} * status.f_frsize,
               .free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize};
}

CacheUse cache_use_for(std::uint64_t file_bytes) {
  auto const pages = ::sysconf(_SC_PHYS_PAGES);
  auto const page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return CacheUse::keep;
  auto const memory = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  return file_bytes > memory / 2 ? CacheUse::drop_behind : CacheUse::keep;
}

}  // namespace grove
