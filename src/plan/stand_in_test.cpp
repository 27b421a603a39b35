#include "plan/stand_in.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

constexpr std::uint64_t bytes_of_a_shard = 100;

StandInCandidate fit(std::uint64_t room = 1000) {
  return {.is_fit = true, .holds_shard = false, .room_bytes = room, .taken_bytes = 0};
}

TEST(StandInTest, TakesTheNextFitWorkerOfTheRing) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard), 3u);
  EXPECT_EQ(choose_stand_in(workers, 3, bytes_of_a_shard), 0u);
  workers[0].is_fit = false;
  EXPECT_EQ(choose_stand_in(workers, 3, bytes_of_a_shard), 1u);
}

TEST(StandInTest, SpreadsTheCopiesOfOneWorker) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  workers[3].taken_bytes = 1;
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard), 0u);
}

TEST(StandInTest, PrefersWhoHoldsTheShardAlready) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  workers[1] = {.is_fit = true, .holds_shard = true, .room_bytes = 0, .taken_bytes = 500};
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard), 1u);
}

TEST(StandInTest, PrefersRoomAndTriesTheOthersLast) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit(99)};
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard), 0u);
  workers[0].is_fit = workers[1].is_fit = false;
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard),
            3u);  // chunks it has already take no room
}

TEST(StandInTest, TakesNobodyWhereNobodyIsFit) {
  std::vector<StandInCandidate> workers(4);
  workers[2].is_fit = true;  // the one that failed
  EXPECT_EQ(choose_stand_in(workers, 2, bytes_of_a_shard), std::nullopt);
  EXPECT_EQ(choose_stand_in({}, 0, bytes_of_a_shard), std::nullopt);
}

}  // namespace
}  // namespace grove
