#include "base/beneath.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

// root/run1/model, beside it outside/secret and outside/root_link → root.
class Beneath : public testing::Test {
 protected:
  Beneath() {
    folder_.write("root/run1/model", "weights");
    folder_.write("outside/secret", "secret");
    fs::create_directory_symlink(folder_ / "root", folder_ / "outside/root_link");
  }

  fs::path root() const { return folder_ / "root"; }

  // The content, or the message.
  static std::string read(fs::path const& root, fs::path const& relative) {
    auto const file = File::open_beneath(root, relative);
    auto const stamp = stamp_beneath(root, relative);
    EXPECT_EQ(file.has_value(), stamp.has_value());
    if (!file) {
      EXPECT_EQ(stamp.error(), file.error());
      return file.error().message;
    }
    EXPECT_EQ(stamp.value(), file.value().stamp().value());
    std::string text(stamp.value().size, '\0');
    EXPECT_TRUE(file.value().read_exactly_at(std::as_writable_bytes(std::span(text)), 0));
    return text;
  }

  static ErrorKind kind(fs::path const& root, fs::path const& relative) {
    return File::open_beneath(root, relative).error().kind;
  }

  // Refused because it leads out.
  void expect_out(fs::path const& relative) const {
    EXPECT_EQ(read(root(), relative),
              (root() / relative).native() + " leads out of " + root().native());
    EXPECT_EQ(kind(root(), relative), ErrorKind::invalid);
  }

  TestFolder folder_;
};

TEST_F(Beneath, OpensAFileInside) {
  EXPECT_EQ(read(root(), "run1/model"), "weights");
  EXPECT_EQ(File::open_beneath(root(), "run1/model").value().path(), root() / "run1/model");
}

TEST_F(Beneath, OpensBelowARootThatIsALink) {
  EXPECT_EQ(read(folder_ / "outside/root_link", "run1/model"), "weights");
}

TEST_F(Beneath, FollowsARelativeLinkInside) {
  fs::create_symlink("../run1/model", root() / "run1/latest");
  fs::create_directory_symlink("run1", root() / "newest");
  EXPECT_EQ(read(root(), "run1/latest"), "weights");
  EXPECT_EQ(read(root(), "newest/latest"), "weights");
}

TEST_F(Beneath, FollowsAnAbsoluteLinkThatEndsInside) {
  fs::create_symlink(root() / "run1/model", root() / "latest");
  fs::create_directory_symlink(root() / "run1", root() / "newest");
  EXPECT_EQ(read(root(), "latest"), "weights");
  EXPECT_EQ(read(root(), "newest/model"), "weights");
}

TEST_F(Beneath, FollowsALinkThatLeavesAndComesBack) {
  fs::create_symlink("../root/run1/model", root() / "latest");
  EXPECT_EQ(read(root(), "latest"), "weights");
}

TEST_F(Beneath, FollowsAnAbsoluteLinkBelowARootThatIsALink) {
  fs::create_symlink(folder_ / "outside/root_link/run1/model", root() / "by_link");
  fs::create_symlink(root() / "run1/model", root() / "by_name");
  EXPECT_EQ(read(folder_ / "outside/root_link", "by_link"), "weights");
  EXPECT_EQ(read(folder_ / "outside/root_link", "by_name"), "weights");
}

TEST_F(Beneath, RefusesLinksThatLeadOut) {
  fs::create_symlink("../outside/secret", root() / "relative");
  fs::create_symlink(folder_ / "outside/secret", root() / "absolute");
  fs::create_directory_symlink(folder_ / "outside", root() / "folder");
  fs::create_symlink("relative", root() / "twice");
  expect_out("relative");
  expect_out("absolute");
  expect_out("folder/secret");
  expect_out("twice");
}

TEST_F(Beneath, IsNotFooledByAFolderWhoseNameStartsLikeTheRoots) {
  folder_.write("root2/secret", "secret");
  fs::create_symlink(folder_ / "root2/secret", root() / "link");
  expect_out("link");
}

TEST_F(Beneath, RefusesAnAbsolutePathAlsoOfAFileInside) {
  EXPECT_EQ(kind(root(), root() / "run1/model"), ErrorKind::invalid);
  EXPECT_EQ(kind(root(), "/etc/passwd"), ErrorKind::invalid);
}

TEST_F(Beneath, RefusesDotDotAlsoWhereItStaysInside) {
  EXPECT_EQ(read(root(), "../outside/secret"),
            "cannot open ../outside/secret beneath " + root().native() + ": it has \"..\" in it");
  EXPECT_EQ(kind(root(), "run1/../run1/model"), ErrorKind::invalid);
  EXPECT_EQ(kind(root(), "../root/run1/model"), ErrorKind::invalid);
  folder_.write("root/run1/..model", "not a way up");
  EXPECT_EQ(read(root(), "run1/..model"), "not a way up");
}

TEST_F(Beneath, RefusesANulInThePath) {
  EXPECT_EQ(read(root(), std::string("run1/model\0.txt", 15)),
            "cannot open run1/model\\x00.txt beneath " + root().native() + ": it has a NUL in it");
}

TEST_F(Beneath, RefusesAFolder) {
  EXPECT_EQ(read(root(), "run1"), "cannot open " + (root() / "run1").native() + ": it is a folder");
  EXPECT_EQ(kind(root(), "run1"), ErrorKind::invalid);
  fs::create_directory_symlink(root(), root() / "self");
  EXPECT_EQ(kind(root(), "self"), ErrorKind::invalid);
}

TEST_F(Beneath, RefusesAPipeWithoutWaitingForIt) {
  ASSERT_EQ(::mkfifo((root() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read(root(), "pipe"),
            "cannot open " + (root() / "pipe").native() + ": it is not a regular file");
  EXPECT_EQ(kind(root(), "pipe"), ErrorKind::invalid);
}

TEST_F(Beneath, RefusesASocket) {
  // By a relative name, since a socket's address has room for 107 bytes only.
  fs::path const before = fs::current_path();
  fs::current_path(root());
  int const fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "socket");
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  fs::current_path(before);
  EXPECT_EQ(kind(root(), "socket"), ErrorKind::invalid);
  ::close(fd);
}

TEST_F(Beneath, TellsWhatIsNotThere) {
  EXPECT_EQ(read(root(), "run2/model"),
            "cannot open " + (root() / "run2/model").native() + ": no such file or directory");
  EXPECT_EQ(kind(root(), "run2/model"), ErrorKind::not_found);
  EXPECT_EQ(kind(root(), "run1/model/deeper"), ErrorKind::invalid);
  EXPECT_EQ(kind(folder_ / "no_root", "model"), ErrorKind::not_found);
  fs::create_symlink("gone", root() / "dangling");
  EXPECT_EQ(kind(root(), "dangling"), ErrorKind::not_found);
  fs::create_symlink("loop", root() / "loop");
  EXPECT_EQ(kind(root(), "loop"), ErrorKind::invalid);
}

TEST_F(Beneath, SaysPermissionDeniedForAFileItMayNotRead) {
  ASSERT_EQ(::chmod((root() / "run1/model").c_str(), 0), 0);
  fs::permissions(folder_.path(), fs::perms::all);
  // In a process of its own, which gives up root's right to read everything.
  pid_t const child = ::fork();
  if (child == 0) {
    bool const dropped = ::geteuid() != 0 || ::setuid(65534) == 0;
    auto const file = File::open_beneath(root(), "run1/model");
    bool const expected = !file && file.error().kind == ErrorKind::invalid &&
                          file.error().message.find("permission denied") != std::string::npos;
    ::_exit(dropped && expected ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// From here on this process has no openat2, as on a kernel before 5.6.
bool forget_openat2() {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog const filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(Beneath, KeepsItsPromiseOnAnOldKernel) {
  fs::create_symlink("run1/model", root() / "inside");
  fs::create_symlink("../outside/secret", root() / "outside");
  pid_t const child = ::fork();
  if (child == 0) {
    bool const old =
        forget_openat2() && ::syscall(SYS_openat2, 0, "", nullptr, 0) < 0 && errno == ENOSYS;
    bool const accepts =
        read(root(), "run1/model") == "weights" && read(root(), "inside") == "weights";
    bool const refuses = kind(root(), "outside") == ErrorKind::invalid &&
                         kind(root(), "run1") == ErrorKind::invalid &&
                         kind(root(), "gone") == ErrorKind::not_found;
    ::_exit(old && accepts && refuses ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace grove
