#include "store/leases.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr auto period = 10min;
Leases::Clock::time_point const start{};

std::vector<Digest> digests(std::initializer_list<char const*> texts) {
  std::vector<Digest> all;
  for (auto const* text : texts) all.push_back(sha256(text));
  return all;
}

TEST(Leases, PinUntilThePeriodIsOverAndNotLonger) {
  Leases leases(period);
  leases.pin("job", digests({"a"}), start);
  EXPECT_TRUE(leases.is_pinned(sha256("a"), start));
  EXPECT_TRUE(leases.is_pinned(sha256("a"), start + period - 1ns));
  EXPECT_FALSE(leases.is_pinned(sha256("a"), start + period));
  EXPECT_FALSE(leases.is_pinned(sha256("b"), start));
}

TEST(Leases, AnyCallOfTheJobRenewsAllItsPins) {
  Leases leases(period);
  leases.pin("job", digests({"a"}), start);
  leases.pin("job", digests({"b"}), start + 9min);
  leases.pin("job", {}, start + 18min);
  EXPECT_TRUE(leases.is_pinned(sha256("a"), start + 27min));
  EXPECT_TRUE(leases.is_pinned(sha256("b"), start + 27min));
  EXPECT_FALSE(leases.is_pinned(sha256("a"), start + 28min));
}

TEST(Leases, OfOneJobAreNotRenewedByAnother) {
  Leases leases(period);
  leases.pin("first", digests({"a", "both"}), start);
  leases.pin("second", digests({"b", "both"}), start + 5min);
  EXPECT_FALSE(leases.is_pinned(sha256("a"), start + 10min));
  EXPECT_TRUE(leases.is_pinned(sha256("both"), start + 10min));
}

TEST(Leases, AreForgottenWhenTheyHaveEnded) {
  Leases leases(period);
  leases.pin("first", digests({"a"}), start);
  leases.pin("second", digests({"b"}), start + 5min);
  EXPECT_EQ(leases.expire(start + period - 1ns), 2U);
  EXPECT_EQ(leases.expire(start + period), 1U);
  EXPECT_EQ(leases.expire(start + 15min), 0U);
}

TEST(Leases, RenewingAJobWithoutPinsMakesNone) {
  Leases leases(period);
  leases.pin("job", {}, start);
  EXPECT_EQ(leases.expire(start), 0U);
}

}  // namespace
}  // namespace grove
