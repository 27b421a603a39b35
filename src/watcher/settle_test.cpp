#include "watcher/settle.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr Settling::Time start{};
constexpr FileVersion version{.inode = 1, .size = 100, .mtime_ns = 5};
constexpr FileVersion grown{.inode = 1, .size = 200, .mtime_ns = 5};

TEST(Settling, AFileRestsWhenItIsTheSameASecondLaterAndNotBefore) {
  Settling settling(1s);
  settling.note("a", version, start);
  EXPECT_TRUE(settling.due(start + 999ms).empty());
  EXPECT_FALSE(settling.confirm("a", version, start + 999ms));
  EXPECT_EQ(settling.due(start + 1s), std::vector<std::string>{"a"});
  EXPECT_TRUE(settling.confirm("a", version, start + 1s));
  EXPECT_EQ(settling.count(), 0U);
}

TEST(Settling, EveryWriteBeginsTheWaitAnew) {
  Settling settling(1s);
  settling.note("a", version, start);
  settling.note("a", version, start + 900ms);
  EXPECT_TRUE(settling.due(start + 1800ms).empty());
  EXPECT_EQ(settling.next_due(), start + 1900ms);
}

TEST(Settling, AFileThatChangedWithoutAWordIsWaitedForAgain) {
  Settling settling(1s);
  settling.note("a", version, start);
  EXPECT_FALSE(settling.confirm("a", grown, start + 1s));
  EXPECT_TRUE(settling.due(start + 1s).empty());
  EXPECT_TRUE(settling.confirm("a", grown, start + 2s));
}

TEST(Settling, WhatWasForgottenNeverRests) {
  Settling settling(1s);
  settling.note("a", version, start);
  settling.forget("a");
  EXPECT_FALSE(settling.confirm("a", version, start + 1s));
  EXPECT_FALSE(settling.next_due());
}

TEST(Settling, SaysWhatWaitedInAFolderThatIsGone) {
  Settling settling(1s);
  settling.note("run1/a", version, start);
  settling.note("run10/a", version, start);
  auto const forgotten = settling.forget_below("run1");
  ASSERT_EQ(forgotten.size(), 1U);
  EXPECT_EQ(forgotten.front(), (std::pair{std::string("run1/a"), version}));
  EXPECT_EQ(settling.paths(), std::vector<std::string>{"run10/a"});
  EXPECT_EQ(settling.version_of("run10/a"), version);
  EXPECT_FALSE(settling.version_of("run1/a"));
}

}  // namespace
}  // namespace grove
