#include "plan/holder_choice.h"

#include <string>

#include <gtest/gtest.h>

namespace grove {
namespace {

std::vector<Digest> chunks(std::size_t count) {
  std::vector<Digest> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(sha256(std::to_string(i)));
  return result;
}

TEST(HolderChoice, AsksTheFirstHolderForEverything) {
  auto const all = chunks(3);
  HolderChoice choice({4, 7}, all);
  auto const step = choice.next();
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->holder, 4u);
  EXPECT_EQ(step->chunks, all);
  for (auto const& chunk : all) choice.got(chunk);
  EXPECT_TRUE(choice.is_complete());
  EXPECT_FALSE(choice.next().has_value());
}

TEST(HolderChoice, AsksTheReplicaForWhatADeadPrimaryDidNotGive) {
  auto const all = chunks(3);
  HolderChoice choice({0, 1}, all);
  ASSERT_TRUE(choice.next().has_value());
  choice.got(all[0]);
  choice.failed(0, all[1], ErrorKind::unavailable);
  choice.failed(0, all[2], ErrorKind::cancelled);
  auto const step = choice.next();
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->holder, 1u);
  EXPECT_EQ(step->chunks, (std::vector<Digest>{all[1], all[2]}));
  choice.failed(1, all[1], ErrorKind::unavailable);
  EXPECT_FALSE(choice.next().has_value());  // the dead primary is not asked again
  EXPECT_EQ(choice.left_count(), 2u);
}

TEST(HolderChoice, TakesEachChunkFromTheHolderWhoseCopyIsSound) {
  auto const all = chunks(2);
  HolderChoice choice({0, 1}, all);
  ASSERT_TRUE(choice.next().has_value());
  choice.failed(0, all[0], ErrorKind::corrupt);
  choice.failed(0, all[1], ErrorKind::cancelled);
  ASSERT_EQ(choice.next()->holder, 1u);
  choice.got(all[0]);
  choice.failed(1, all[1], ErrorKind::not_found);
  auto const step = choice.next();
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->holder, 0u);
  EXPECT_EQ(step->chunks, std::vector<Digest>{all[1]});
  choice.failed(0, all[1], ErrorKind::corrupt);
  EXPECT_FALSE(choice.next().has_value());  // both copies of that chunk are damaged
}

TEST(HolderChoice, HasNothingToAskWithoutHoldersOrChunks) {
  EXPECT_FALSE(HolderChoice({}, chunks(1)).next().has_value());
  EXPECT_FALSE(HolderChoice({0}, {}).next().has_value());
  EXPECT_TRUE(HolderChoice({0}, {}).is_complete());
}

}  // namespace
}  // namespace grove
