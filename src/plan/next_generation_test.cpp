#include "plan/next_generation.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(NextGeneration, IsTheClock) {
  EXPECT_EQ(next_generation(std::nullopt, 1000, 7), Generation{1000});
  EXPECT_EQ(next_generation(Generation{999}, 1000, 7), Generation{1000});
}

TEST(NextGeneration, IsBeyondTheNewestWhereTheClockWentBack) {
  EXPECT_EQ(next_generation(Generation{1000}, 1000, 0), Generation{1001});
  EXPECT_EQ(next_generation(Generation{5000}, 1000, 7), Generation{5008});
  EXPECT_EQ(next_generation(Generation{5000}, 1000, 1'000'007), Generation{5008});
}

TEST(NextGeneration, IsNeverZero) {
  EXPECT_EQ(next_generation(std::nullopt, 0, 0), Generation{1});
}

}  // namespace
}  // namespace grove
