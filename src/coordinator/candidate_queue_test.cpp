#include "coordinator/candidate_queue.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(CandidateQueue, AsksEachOnceBeforeAnyTwiceAndThoseLookedForFirst) {
  CandidateQueue queue;
  auto const add = [&](std::uint16_t port, bool is_looked_for, bool was_asked) {
    queue.add(
        {.address = {}, .port = port, .is_looked_for = is_looked_for, .was_asked = was_asked});
  };
  add(8, false, true);
  add(6, true, true);
  add(3, false, false);
  add(4, false, false);
  add(1, true, false);
  add(7, true, true);
  add(2, true, false);
  add(9, false, true);
  add(5, false, false);
  std::vector<std::uint16_t> order;
  while (auto const candidate = queue.take()) order.push_back(candidate->port);
  EXPECT_EQ(order, (std::vector<std::uint16_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
}  // namespace grove
