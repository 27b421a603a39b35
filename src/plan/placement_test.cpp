#include "plan/placement.h"

#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "plan/golden_test.h"

namespace grove {

TEST(Placement, PutsFourShardsOnARingOfFour) {
  expect_golden("placement_4_on_4_twice.txt", text(place_copies(4, 4, 2).value()));
}

TEST(Placement, WrapsWhereThereAreMoreShardsThanWorkers) {
  expect_golden("placement_8_on_3_twice.txt", text(place_copies(8, 3, 2).value()));
}

TEST(Placement, LeavesWorkersOutWhereThereAreFewerShards) {
  expect_golden("placement_2_on_5_thrice.txt", text(place_copies(2, 5, 3).value()));
}

TEST(Placement, NeverPutsTwoCopiesOfAShardOnOneWorker) {
  for (std::size_t workers_count = 1; workers_count <= 6; ++workers_count) {
    for (std::uint32_t redundancy = 1; redundancy <= workers_count; ++redundancy) {
      auto const copies = place_copies(9, workers_count, redundancy);
      ASSERT_TRUE(copies);
      std::set<std::pair<std::uint32_t, std::size_t>> places;
      for (PlannedCopy const& copy : copies.value()) {
        EXPECT_LT(copy.worker_index, workers_count);
        places.emplace(copy.shard.value, copy.worker_index);
      }
      EXPECT_EQ(places.size(), 9 * redundancy);
    }
  }
}

TEST(Placement, TakesAsManyCopiesAsThereAreWorkersAndNoMore) {
  EXPECT_TRUE(place_copies(1, 3, 3));
  auto const refused = place_copies(1, 2, 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST(Placement, RefusesToKeepNoCopyAtAll) {
  EXPECT_TRUE(place_copies(1, 3, 1));
  auto const refused = place_copies(1, 3, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

}  // namespace grove
