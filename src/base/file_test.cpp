#include "base/file.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sched.h>

#include "base/bytes.h"
#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

std::string content(fs::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> names(fs::path const& folder) {
  return list_folder(folder).value();
}

TEST(DurableWrite, CreatesAndReplaces) {
  TestFolder const folder;
  ASSERT_TRUE(write_durably(folder / "a", bytes_of("one")));
  EXPECT_EQ(content(folder / "a"), "one");
  ASSERT_TRUE(write_durably(folder / "a", bytes_of("")));
  EXPECT_EQ(content(folder / "a"), "");
  EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"a"}));
  EXPECT_EQ(stamp_of(folder / "a").value().mode & 0700U, 0600U);
}

TEST(DurableWrite, LeavesNothingBehindWhenTheNameIsTaken) {
  TestFolder const folder;
  folder.write("taken/file", "x");
  auto const written = write_durably(folder / "taken", bytes_of("one"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::invalid);
  EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"taken"}));
}

TEST(DurableWrite, TellsThatTheFolderIsMissing) {
  TestFolder const folder;
  auto const written = write_durably(folder / "none/a", bytes_of("one"));
  EXPECT_EQ(written.error().kind, ErrorKind::not_found);
}

// Runs `check` in a process of its own in which `folder` is a disk of 64 KiB; gives its answer, or
// nothing where the machine does not let us make one.
std::optional<bool> on_a_small_disk(fs::path const& folder, std::function<bool()> const& check) {
  pid_t const child = ::fork();
  if (child == 0) {
    constexpr int no_right = 77;
    int const spaces = ::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
    if (::unshare(spaces) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", folder.c_str(), "tmpfs", 0, "size=64k") != 0) {
      ::_exit(no_right);
    }
    ::_exit(check() ? 0 : 1);
  }
  int status = -1;
  GROVE_ASSERT(::waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return std::nullopt;
  return status == 0;
}

TEST(DurableWrite, LeavesNothingBehindWhenTheDiskFills) {
  TestFolder const folder;
  auto const passed = on_a_small_disk(folder.path(), [&] {
    std::string const fits(32 * 1024, 'a');
    std::string const too_big(128 * 1024, 'b');
    if (!write_durably(folder / "a", bytes_of(fits))) return false;
    auto const written = write_durably(folder / "a", bytes_of(too_big));
    return !written && written.error().kind == ErrorKind::exhausted &&
           written.error().message.find("no space left") != std::string::npos &&
           content(folder / "a") == fits && names(folder.path()).size() == 1;
  });
  if (!passed) GTEST_SKIP() << "neither root nor user namespaces: no small disk can be mounted";
  EXPECT_TRUE(*passed);
}

TEST(File, NoticesAFullDiskWhenItReserves) {
  TestFolder const folder;
  auto const passed = on_a_small_disk(folder.path(), [&] {
    File file = File::create(folder / "a").value();
    auto const reserved = file.reserve(128 * 1024);
    return file.reserve(16 * 1024).has_value() && !reserved &&
           reserved.error().kind == ErrorKind::exhausted && file.stamp().value().size == 0;
  });
  if (!passed) GTEST_SKIP() << "neither root nor user namespaces: no small disk can be mounted";
  EXPECT_TRUE(*passed);
}

TEST(File, TakesALimitOfTheProcessForExhausted) {
  TestFolder const folder;
  pid_t const child = ::fork();
  if (child == 0) {
    rlimit const limit{1000, 1000};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto const most = write_durably(folder / "most", bytes_of(std::string(1000, 'a')));
    auto const more = write_durably(folder / "more", bytes_of(std::string(1001, 'a')));
    ::_exit(most && !more && more.error().kind == ErrorKind::exhausted ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"most"}));
}

TEST(PendingFile, IsInvisibleUntilCommitted) {
  TestFolder const folder;
  auto pending = PendingFile::create(folder.path()).value();
  ASSERT_TRUE(pending.file().write_at(bytes_of("abc"), 0));
  EXPECT_FALSE(fs::exists(folder / "a"));
  EXPECT_TRUE(names(folder.path()).at(0).starts_with(".grove-"));
  ASSERT_TRUE(pending.commit_as(folder / "a"));
  EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"a"}));
  EXPECT_EQ(pending.file().path(), folder / "a");
  EXPECT_EQ(content(folder / "a"), "abc");
}

TEST(PendingFile, StaysAfterItsOwnerIsGoneOnlyIfCommitted) {
  TestFolder const folder;
  {
    auto kept = PendingFile::create(folder.path()).value();
    auto dropped = PendingFile::create(folder.path()).value();
    auto closed = PendingFile::create(folder.path()).value();
    closed.file().close();
    ASSERT_TRUE(kept.commit_as(folder / "kept"));
  }
  EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"kept"}));
}

TEST(PendingFile, MovesItsDutyAlong) {
  TestFolder const folder;
  {
    auto first = PendingFile::create(folder.path()).value();
    auto second = PendingFile::create(folder.path()).value();
    PendingFile moved = std::move(first);
    EXPECT_EQ(names(folder.path()).size(), 2U);
    moved = std::move(second);
    EXPECT_EQ(names(folder.path()).size(), 1U);
  }
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(PendingFile, FailsToCommitWhenItsFolderIsGone) {
  TestFolder const folder;
  fs::create_directory(folder / "sub");
  auto pending = PendingFile::create(folder / "sub").value();
  ASSERT_TRUE(remove_tree(folder / "sub"));
  EXPECT_EQ(pending.commit_as(folder / "a").error().kind, ErrorKind::not_found);
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(PendingFile, HasItsOwnNameInEveryThread) {
  TestFolder const folder;
  constexpr std::size_t threads_count = 4;
  constexpr std::size_t files_count = 50;
  {
    std::vector<std::vector<PendingFile>> pending(threads_count);
    std::vector<std::jthread> threads;
    for (auto& mine : pending) {
      threads.emplace_back([&folder, &mine] {
        for (std::size_t i = 0; i < files_count; ++i) {
          mine.push_back(PendingFile::create(folder.path()).value());
        }
      });
    }
    threads.clear();
    EXPECT_EQ(names(folder.path()).size(), threads_count * files_count);
  }
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(PendingFile, TakesTheModeItIsGiven) {
  TestFolder const folder;
  auto pending = PendingFile::create(folder.path(), 0600).value();
  EXPECT_EQ(pending.file().stamp().value().mode, 0600U);
}

TEST(File, RefusesToCreateOverAnotherOne) {
  TestFolder const folder;
  ASSERT_TRUE(File::create(folder / "a"));
  EXPECT_EQ(File::create(folder / "a").error().kind, ErrorKind::conflict);
}

TEST(File, ReadsAndWritesAtAnyPosition) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  ASSERT_TRUE(file.write_at(bytes_of("world"), 6));
  ASSERT_TRUE(file.write_at(bytes_of("hello "), 0));
  std::string text(20, '?');
  EXPECT_EQ(file.read_at(std::as_writable_bytes(std::span(text)), 0).value(), 11U);
  EXPECT_EQ(text.substr(0, 11), "hello world");
  EXPECT_EQ(file.read_at(std::as_writable_bytes(std::span(text)), 11).value(), 0U);
  ASSERT_TRUE(file.truncate(5));
  EXPECT_EQ(file.stamp().value().size, 5U);
}

TEST(File, ReadsExactlyOrSaysThatTheFileIsTooShort) {
  TestFolder const folder;
  folder.write("a", "12345");
  File const file = File::open_readonly(folder / "a").value();
  std::string text(5, '?');
  EXPECT_TRUE(file.read_exactly_at(std::as_writable_bytes(std::span(text)), 0));
  auto const short_read = file.read_exactly_at(std::as_writable_bytes(std::span(text)), 1);
  ASSERT_FALSE(short_read);
  EXPECT_EQ(short_read.error(),
            (Error{ErrorKind::corrupt, "cannot read " + (folder / "a").native() +
                                           ": it ends at byte 5, before byte 6"}));
}

TEST(File, OpensOnlyRegularFiles) {
  TestFolder const folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(File::open_readonly(folder / "pipe").error().kind, ErrorKind::invalid);
  EXPECT_EQ(File::open_readonly(folder.path()).error().kind, ErrorKind::invalid);
  EXPECT_EQ(File::open_readonly(folder / "none").error().kind, ErrorKind::not_found);
  EXPECT_EQ(File::open_readonly("/dev/null").error().kind, ErrorKind::invalid);
}

TEST(File, KeepsModeAndTimeAlsoBefore1970) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  for (std::int64_t const mtime_ns : {1'700'000'000'123'456'789LL, -1'500'000'001LL, 0LL}) {
    ASSERT_TRUE(file.set_mode_and_mtime(0640, mtime_ns));
    EXPECT_EQ(file.stamp().value().mtime_ns, mtime_ns);
    EXPECT_EQ(file.stamp().value().mode, 0640U);
  }
}

TEST(File, NeverMakesAFileSetuid) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  ASSERT_TRUE(file.set_mode_and_mtime(04755, 0));
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0755U);
}

TEST(File, StampsDifferOnceTheFileChanged) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  auto const before = file.stamp().value();
  EXPECT_EQ(before, stamp_of(folder / "a").value());
  ASSERT_TRUE(file.write_at(bytes_of("x"), 0));
  EXPECT_NE(before, file.stamp().value());
}

TEST(File, ReservesWithoutGrowing) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  EXPECT_TRUE(file.reserve(0));
  EXPECT_TRUE(file.reserve(100'000));
  EXPECT_EQ(file.stamp().value().size, 0U);
}

TEST(File, RemembersAttributesWhereTheFileSystemCan) {
  TestFolder const folder;
  File file = File::create(folder / "a").value();
  EXPECT_EQ(file.attribute("grove.merged").value(), std::nullopt);
  bool const can = file.set_attribute("grove.merged", "yes").value();
  EXPECT_EQ(file.attribute("grove.merged").value(),
            can ? std::optional<std::string>("yes") : std::nullopt);
}

TEST(File, IsClosedAfterAMove) {
  TestFolder const folder;
  File first = File::create(folder / "a").value();
  File second = std::move(first);
  EXPECT_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_TRUE(second.is_open());
  second.close();
  EXPECT_FALSE(second.is_open());
}

TEST(FileLock, IsHeldByOneAtATime) {
  TestFolder const folder;
  {
    auto const lock = FileLock::acquire(folder / "lock");
    ASSERT_TRUE(lock);
    auto const second = FileLock::acquire(folder / "lock");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
    EXPECT_NE(second.error().message.find("another process holds it"), std::string::npos);
  }
  EXPECT_TRUE(FileLock::acquire(folder / "lock"));
}

TEST(ReadWhole, TakesUpToItsLimit) {
  TestFolder const folder;
  folder.write("a", "12345");
  auto const whole = read_whole(folder / "a", 5);
  ASSERT_TRUE(whole);
  EXPECT_EQ(text_of(whole.value()), "12345");
  EXPECT_EQ(read_whole(folder / "a", 4).error().kind, ErrorKind::exhausted);
  EXPECT_EQ(read_whole(folder / "b", 4).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace grove
