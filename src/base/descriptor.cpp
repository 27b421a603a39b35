#include "base/descriptor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <tuple>

namespace grove {

namespace {

Error not_regular(std::filesystem::path const& path) {
  return fail(ErrorKind::invalid, "cannot open {}: it is not a regular file",
              printable(path.native()));
}

}  // namespace

ErrorKind kind_of_errno(int cause) {
  switch (cause) {
    case ENOENT:
      return ErrorKind::not_found;
    case EEXIST:
      return ErrorKind::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
      return ErrorKind::exhausted;
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
      return ErrorKind::invalid;
    default:
      return ErrorKind::internal;
  }
}

std::string cause_and_advice(int cause) {
  switch (cause) {
    case ENOSPC:
      return "no space left on the disk; free some space";
    case EDQUOT:
      return "no space left in the disk quota; free some space or raise the quota";
    case EACCES:
      return "permission denied; check owner and mode";
    case EMFILE:
    case ENFILE:
      return "too many open files; raise the limit (ulimit -n)";
    default: {
      char const* description = ::strerrordesc_np(cause);
      std::string text = description != nullptr ? description : fmt::format("errno {}", cause);
      if (text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
      return text;
    }
  }
}

Error file_error(std::string_view action, std::filesystem::path const& path, int cause) {
  return fail(kind_of_errno(cause), "cannot {} {}: {}", action, printable(path.native()),
              cause_and_advice(cause));
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) std::ignore = ::close(fd_);
}

Result<Descriptor> only_regular(int fd, std::filesystem::path const& path) {
  // ENXIO: a socket, or a device that is not there.
  if (fd < 0) return errno == ENXIO ? not_regular(path) : file_error("open", path, errno);
  Descriptor owned(fd);
  struct stat status {};
  if (::fstat(fd, &status) != 0) return file_error("examine", path, errno);
  if (S_ISDIR(status.st_mode)) {
    return fail(ErrorKind::invalid, "cannot open {}: it is a folder", printable(path.native()));
  }
  if (!S_ISREG(status.st_mode)) return not_regular(path);
  return owned;
}

}  // namespace grove
