#include "plan/stand_in.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

constexpr std::uint64_t shard_bytes = 100;

StandInCandidate fit(std::uint64_t room = 1000) {
  return {.is_fit = true, .holds_shard = false, .room_bytes = room, .taken_bytes = 0};
}

TEST(StandInTest, TakesTheNextFitWorkerOfTheRing) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), 3u);
  EXPECT_EQ(choose_stand_in(workers, 3, shard_bytes), 0u);
  workers[0].is_fit = false;
  EXPECT_EQ(choose_stand_in(workers, 3, shard_bytes), 1u);
}

TEST(StandInTest, SpreadsTheCopiesOfOneWorker) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  workers[3].taken_bytes = 1;
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), 0u);
}

TEST(StandInTest, PrefersWhoHoldsTheShardAlready) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit()};
  workers[1] = {.is_fit = true, .holds_shard = true, .room_bytes = 0, .taken_bytes = 500};
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), 1u);
}

TEST(StandInTest, PrefersRoomAndTriesTheOthersLast) {
  std::vector<StandInCandidate> workers{fit(), fit(), fit(), fit(99)};
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), 0u);
  workers[0].is_fit = workers[1].is_fit = false;
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), 3u);  // chunks it has already take no room
}

TEST(StandInTest, TakesNobodyWhereNobodyIsFit) {
  std::vector<StandInCandidate> workers(4);
  workers[2].is_fit = true;  // the one that failed
  EXPECT_EQ(choose_stand_in(workers, 2, shard_bytes), std::nullopt);
  EXPECT_EQ(choose_stand_in({}, 0, shard_bytes), std::nullopt);
}

}  // namespace
}  // namespace grove
