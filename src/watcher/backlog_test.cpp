#include "watcher/backlog.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr Backlog::Time now = Backlog::Time{} + 24h;

FileVersion written_at(std::int64_t mtime_ns) {
  return {.inode = 1, .size = 1, .mtime_ns = mtime_ns};
}

TEST(Backlog, GivesTheNewestFirst) {
  Backlog backlog;
  backlog.add("old", written_at(1));
  backlog.add("new", written_at(3));
  backlog.add("middle", written_at(2));
  for (auto const* path : {"new", "middle", "old"}) {
    EXPECT_EQ(backlog.newest_due(now)->path, path);
    backlog.remove(path);
  }
  EXPECT_FALSE(backlog.newest_due(now));
  EXPECT_FALSE(backlog.next_due());
}

TEST(Backlog, WaitsTwiceAsLongEachTimeUpToALimitAndNobodyElseWaits) {
  Backlog backlog;
  backlog.add("a", written_at(2));
  backlog.add("b", written_at(1));
  backlog.postpone("a", now);
  EXPECT_EQ(backlog.newest_due(now)->path, "b");
  backlog.remove("b");
  EXPECT_EQ(backlog.next_due(), now + limits::watcher_retry_first);
  EXPECT_FALSE(backlog.newest_due(now + limits::watcher_retry_first - 1ms));
  EXPECT_TRUE(backlog.newest_due(now + limits::watcher_retry_first));
  backlog.postpone("a", now);
  EXPECT_EQ(backlog.next_due(), now + 2 * limits::watcher_retry_first);
  for (int tries = 0; tries < 50; ++tries) backlog.postpone("a", now);
  EXPECT_EQ(backlog.next_due(), now + limits::watcher_retry_last);
  backlog.hurry();
  EXPECT_TRUE(backlog.newest_due(now));
}

TEST(Backlog, FilesOfOneTimeGoInTheOrderOfTheirNames) {
  Backlog backlog;
  for (auto const* path : {"part-2", "part-1", "part-3"}) backlog.add(path, written_at(7));
  for (auto const* path : {"part-1", "part-2", "part-3"}) {
    EXPECT_EQ(backlog.newest_due(now)->path, path);
    backlog.remove(path);
  }
}

TEST(Backlog, AnotherVersionIsDueAtOnce) {
  Backlog backlog;
  backlog.add("a", written_at(1));
  backlog.postpone("a", now);
  backlog.add("a", written_at(2));
  EXPECT_EQ(backlog.newest_due(now)->version, written_at(2));
  EXPECT_EQ(backlog.count(), 1U);
}

TEST(Backlog, HoldsBackEveryVersionOfWhatChangedWhileItWasStoredLongerEachTime) {
  Backlog backlog;
  backlog.add("a", written_at(1));
  backlog.hold_back("a", now);
  backlog.remove("a");
  backlog.add("a", written_at(2));
  EXPECT_FALSE(backlog.newest_due(now + limits::watcher_retry_first - 1ms));
  EXPECT_TRUE(backlog.newest_due(now + limits::watcher_retry_first));
  backlog.hold_back("a", now);
  backlog.add("a", written_at(3));
  EXPECT_EQ(backlog.next_due(), now + 2 * limits::watcher_retry_first);
  backlog.forget("a");
  backlog.add("a", written_at(4));
  EXPECT_TRUE(backlog.newest_due(now));
}

TEST(Backlog, ForgetsWhatLiesBelowAFolderAndNothingBesideIt) {
  Backlog backlog;
  backlog.add("run1/a", written_at(1));
  backlog.add("run1/b", written_at(2));
  backlog.postpone("run1/b", now);
  backlog.add("run10/a", written_at(1));
  backlog.add("run1", written_at(1));
  auto const forgotten = backlog.forget_below("run1");
  ASSERT_EQ(forgotten.size(), 2U);
  EXPECT_EQ(forgotten.back(), (std::pair{std::string("run1/b"), written_at(2)}));
  EXPECT_EQ(backlog.count(), 2U);
  for (auto const* path : {"run1", "run10/a"}) {
    EXPECT_EQ(backlog.newest_due(now)->path, path);
    backlog.remove(path);
  }
  EXPECT_FALSE(backlog.next_due());
}

}  // namespace
}  // namespace grove
