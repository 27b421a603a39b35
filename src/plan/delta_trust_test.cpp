#include "plan/delta_trust.h"

#include <gtest/gtest.h>

namespace grove {

namespace {

using enum DeltaOutcome;

void note(DeltaTrust& trust, std::size_t tensor, DeltaOutcome outcome, int times) {
  for (int time = 0; time < times; ++time) {
    trust.note(tensor, outcome);
  }
}

}  // namespace

TEST(DeltaTrust, EndsWithThreeRefusalsInARow) {
  DeltaTrust trust(2);
  note(trust, 0, refused, 2);
  EXPECT_TRUE(trust.allows(0));
  trust.note(0, refused);
  EXPECT_FALSE(trust.allows(0));
  EXPECT_TRUE(trust.allows(1));
}

TEST(DeltaTrust, SurvivesRefusalsThatAreNotInARow) {
  DeltaTrust trust(1);
  for (int round = 0; round < 10; ++round) {
    note(trust, 0, refused, 2);
    trust.note(0, sent);
  }
  EXPECT_TRUE(trust.allows(0));
}

TEST(DeltaTrust, EndsWithFourChunksInARowThatDoNotProfit) {
  DeltaTrust trust(2);
  note(trust, 1, no_profit, 3);
  trust.note(1, sent);
  note(trust, 1, no_profit, 3);
  EXPECT_TRUE(trust.allows(1));
  trust.note(1, no_profit);
  EXPECT_FALSE(trust.allows(1));
  EXPECT_TRUE(trust.allows(0));
}

TEST(DeltaTrust, CountsARefusalForAProfit) {
  DeltaTrust trust(1);
  note(trust, 0, no_profit, 3);
  trust.note(0, refused);
  trust.note(0, no_profit);
  EXPECT_TRUE(trust.allows(0));
  // Between two refusals nothing was sent, so they are in a row.
  note(trust, 0, refused, 2);
  EXPECT_FALSE(trust.allows(0));
}

TEST(DeltaTrust, StaysEndedWhateverComesLate) {
  DeltaTrust trust(1);
  note(trust, 0, refused, 3);
  note(trust, 0, sent, 3);
  note(trust, 0, no_profit, 300);
  EXPECT_FALSE(trust.allows(0));
}

TEST(DeltaTrust, EndsForAllWhereRefusalsFollowOneAnotherFromTensorToTensor) {
  DeltaTrust trust(100);
  std::size_t tensor = 0;
  for (; tensor < DeltaTrust::refusals_of_all_max - 1u; ++tensor) {
    trust.note(tensor, refused);
  }
  EXPECT_TRUE(trust.allows(tensor));
  trust.note(tensor, refused);
  EXPECT_FALSE(trust.allows(0));
  EXPECT_FALSE(trust.allows(99));
  note(trust, 0, sent, 1);
  EXPECT_FALSE(trust.allows(0));
}

TEST(DeltaTrust, GoesOnForAllWhileSomeAreTaken) {
  DeltaTrust trust(100);
  for (std::size_t tensor = 0; tensor < 99; ++tensor) {
    trust.note(tensor, refused);
    if (tensor % 10 == 0) {
      trust.note(99, sent);
    }
  }
  EXPECT_TRUE(trust.allows(0));
}

}  // namespace grove
