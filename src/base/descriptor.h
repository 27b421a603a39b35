// An open file descriptor, and errno as an Error: what base/file.cpp and base/beneath.cpp share,
// and those of net/ that hold a socket of their own. Not here: anything with a path of its own
// (base/file.h). Threads: values.
#pragma once

#include <errno.h>
#include <fcntl.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace grove {

// For reading any file. A regular file ignores O_NONBLOCK; a pipe would otherwise wait for its
// writer.
inline constexpr int read_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

// The table of base/file.h.
ErrorKind kind_of_errno(int cause);
// "no space left on the disk; free some space".
std::string cause_and_advice(int cause);
// "cannot <action> <path>: <cause>; <advice>".
Error file_error(std::string_view action, std::filesystem::path const& path, int cause);

// Repeats a system call for as long as signals interrupt it.
template <typename Call>
auto without_interruption(Call call) {
  for (;;) {
    auto const result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// Closed at the end of its life. Negative: none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// What an attempt to open `path` gave: `fd`, or errno where that is negative.
// Fails: invalid for anything but a regular file.
Result<Descriptor> only_regular(int fd, std::filesystem::path const& path);

}  // namespace grove
