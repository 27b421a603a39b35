#include "plan/repair_pace.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr auto never = RepairPace::TimePoint::max();
constexpr std::uint64_t window = 16'000'000;

// How much of the time several lanes move something, each window taking a second.
double share_of_the_time(RepairPace& pace, std::size_t lanes, bool others_work) {
  struct Lane {
    bool is_moving = false;
    RepairPace::TimePoint next;
  };
  std::vector<Lane> all(lanes);
  RepairPace::TimePoint now;
  std::chrono::milliseconds moved{0};
  for (; now.time_since_epoch() < 1000s; now += 50ms) {
    for (auto& lane : all) {
      if (now < lane.next) continue;
      if (lane.is_moving) {
        pace.end_window(now, window, 1s, others_work);
        lane.is_moving = false;
      }
      auto const wait = pace.until_turn(now, others_work);
      lane.next = now + wait;
      if (wait > 0s) continue;
      pace.begin_window();
      lane = {.is_moving = true, .next = now + 1s};
      moved += 1s;
    }
  }
  return static_cast<double>(moved.count()) / 1e6;
}

TEST(RepairPace, GoesAsFastAsItCanWhileNobodyElseWorks) {
  RepairPace pace(std::nullopt, never);
  EXPECT_NEAR(share_of_the_time(pace, 4, false), 4.0, 0.01);
}

TEST(RepairPace, TakesAFifthOfTheTimeBesideOthersHoweverManyCopiesItMakesAtOnce) {
  for (std::size_t const lanes : {1, 2, 4, 16}) {
    RepairPace pace(std::nullopt, never);
    EXPECT_NEAR(share_of_the_time(pace, lanes, true), 0.2, 0.02) << lanes << " lanes";
  }
}

TEST(RepairPace, KeepsToTheLimitHoweverManyCopiesItMakesAtOnce) {
  for (std::size_t const lanes : {1, 4}) {
    RepairPace pace(window / 2, never);  // a window in two seconds
    EXPECT_NEAR(share_of_the_time(pace, lanes, false), 0.5, 0.02) << lanes << " lanes";
  }
}

TEST(RepairPace, GoesOnAsSoonAsTheOthersAreDone) {
  RepairPace pace(std::nullopt, never);
  RepairPace::TimePoint now;
  pace.begin_window();
  pace.end_window(now, window, 10s, true);
  EXPECT_EQ(pace.until_turn(now, true), 40s);
  EXPECT_EQ(pace.until_turn(now, false), 0s);
}

TEST(RepairPace, IsOverAtItsTime) {
  RepairPace::TimePoint const now;
  RepairPace const pace(std::nullopt, now + 30s);
  EXPECT_FALSE(pace.is_over(now));
  EXPECT_TRUE(pace.is_over(now + 30s));
}

}  // namespace
}  // namespace grove
