#include "coordinator/file_digests.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"
#include "net/parallel.h"
#include "net/test_loop.h"

namespace grove {
namespace {

class FileDigestsTest : public testing::Test {
 protected:
  FileStamp write(std::string const& name, std::string const& content) {
    folder_.write(name, content);
    return stamp_of(folder_ / name).value();
  }

  // What is said of the file, to the end.
  Awaitable<Result<Digest>> ask(std::string name, FileStamp stamp) {
    for (;;) {
      CO_TRY(auto const digest, co_await digests_.of(folder_ / "", name, stamp));
      if (digest) co_return *digest;
    }
  }

  TestFolder folder_;
  TestLoop loop_;
  Offload offload_{2};
  FileDigests digests_{loop_.executor(), offload_};
};

TEST_F(FileDigestsTest, AreThoseOfTheWholeContent) {
  // More than one piece.
  std::string const content(64 * limits::mib + 3, 'x');
  auto const stamp = write("a", content);
  auto const empty = write("b", "");
  loop_.run([&]() -> Awaitable<void> {
    EXPECT_EQ((co_await ask("a", stamp)).value(), sha256(content));
    EXPECT_EQ((co_await ask("b", empty)).value(), sha256(""));
  });
}

TEST_F(FileDigestsTest, AreRememberedWhileTheStampIsTheSame) {
  auto const stamp = write("a", "one");
  loop_.run([&]() -> Awaitable<void> {
    EXPECT_EQ((co_await ask("a", stamp)).value(), sha256("one"));
    std::filesystem::remove(folder_ / "a");
    EXPECT_EQ((co_await ask("a", stamp)).value(), sha256("one"));  // not read again
    auto const other = write("a", "two");
    EXPECT_EQ((co_await ask("a", other)).value(), sha256("two"));
  });
}

TEST_F(FileDigestsTest, OfAFileThatChangesAreNotTold) {
  auto const stamp = write("a", "one");
  write("a", "longer");
  loop_.run([&]() -> Awaitable<void> {
    EXPECT_EQ((co_await ask("a", stamp)).error().kind, ErrorKind::conflict);
    std::filesystem::remove(folder_ / "a");
    EXPECT_EQ((co_await ask("a", stamp)).error().kind, ErrorKind::not_found);
  });
}

TEST_F(FileDigestsTest, AreBoundedAndTheNewestAreKept) {
  auto const count = limits::digests_kept_max + 5;
  std::vector<FileStamp> stamps;
  for (std::size_t i = 0; i < count; ++i) stamps.push_back(write(fmt::to_string(i), "x"));
  loop_.run([&]() -> Awaitable<void> {
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE((co_await ask(fmt::to_string(i), stamps[i])).has_value());
    }
    for (std::size_t i = 0; i < count; ++i) std::filesystem::remove(folder_ / fmt::to_string(i));
    EXPECT_TRUE((co_await ask(fmt::to_string(count - 1), stamps[count - 1])).has_value());
    EXPECT_TRUE((co_await ask("0", stamps[0])).has_error());  // read anew
  });
}

}  // namespace
}  // namespace grove
