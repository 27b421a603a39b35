#include "worker/scrub_schedule.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds week = 7 * 24h;
constexpr std::int64_t now_ms = 1'800'000'000'000;

std::int64_t ago(std::chrono::milliseconds age) {
  return now_ms - age.count();
}

TEST(ScrubSchedule, ReadsWhatIsOlderThanThreeQuartersOfThePeriod) {
  EXPECT_EQ(due_age(week), week / 4 * 3);
}

TEST(ScrubSchedule, LooksWhenTheOldestIsDue) {
  EXPECT_EQ(next_look(week, ago(week / 2 + 1h), now_ms), week / 4 - 1h);
}

TEST(ScrubSchedule, LooksAfterAQuarterOfThePeriodAtTheLatest) {
  EXPECT_EQ(next_look(week, ago(0ms), now_ms), week / 4);
}

TEST(ScrubSchedule, LooksSoonWhereSomethingIsDueOrNothingIsKnown) {
  EXPECT_EQ(next_look(week, ago(2 * week), now_ms), 60s);
  EXPECT_EQ(next_look(week, std::nullopt, now_ms), 60s);
}

TEST(ScrubSchedule, HurriesInTheLastTenthOfThePeriod) {
  EXPECT_FALSE(is_near_deadline(week, std::nullopt, now_ms));
  EXPECT_FALSE(is_near_deadline(week, ago(week / 10 * 9), now_ms));
  EXPECT_TRUE(is_near_deadline(week, ago(week / 10 * 9 + 1ms), now_ms));
  EXPECT_TRUE(is_near_deadline(week, ago(2 * week), now_ms));
}

TEST(ScrubSchedule, LooksMoreOftenWhereThePeriodIsShort) {
  EXPECT_EQ(next_look(4s, std::nullopt, now_ms), 1s);
  EXPECT_EQ(next_look(4s, ago(1h), now_ms), 1s);
  EXPECT_GE(next_look(1ms, std::nullopt, now_ms), 1ms);
}

}  // namespace
}  // namespace grove
