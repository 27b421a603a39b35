#include "plan/join_plan.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

Joiner joiner(std::string host, std::string ip) {
  return {.host = std::move(host), .ip = std::move(ip), .remembered = {}, .port = {}};
}

std::vector<std::string> planned(std::vector<DeviceConfig> const& existing,
                                 std::vector<Joiner> const& joiners,
                                 std::vector<TakenAddress> const& taken = {}) {
  auto const plan = plan_join(existing, joiners, taken);
  if (plan.has_error()) return {plan.error().message};
  std::vector<std::string> lines;
  for (auto const& device : plan.value()) {
    lines.push_back(
        fmt::format("{} {} {}:{}", device.rank.value, device.host, device.ip, device.port));
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(JoinPlan, CountsFromOneInTheOrderOfTheJoins) {
  EXPECT_EQ(planned({}, {joiner("b", "10.0.0.2"), joiner("a", "10.0.0.1")}),
            (Lines{"1 b 10.0.0.2:5001", "2 a 10.0.0.1:5002"}));
}

TEST(JoinPlan, KeepsTheRankOfADataFolder) {
  auto second = joiner("b", "10.0.0.2");
  second.remembered = Rank{1};
  EXPECT_EQ(planned({}, {joiner("a", "10.0.0.1"), second}),
            (Lines{"2 a 10.0.0.1:5002", "1 b 10.0.0.2:5001"}));
}

TEST(JoinPlan, KeepsTheRankAndPortOfAHostInTheConfig) {
  std::vector<DeviceConfig> const existing{
      {.host = "a", .ip = "10.0.0.9", .rank = Rank{7}, .port = 6000}};
  EXPECT_EQ(planned(existing, {joiner("b", "10.0.0.2"), joiner("a", "10.0.0.1")}),
            (Lines{"1 b 10.0.0.2:5001", "7 a 10.0.0.1:6000"}));
}

TEST(JoinPlan, GivesAHostsEntryToTheDataFolderThatRemembersItsRank) {
  std::vector<DeviceConfig> const existing{
      {.host = "a", .ip = "10.0.0.9", .rank = Rank{1}, .port = 6000}};
  auto second = joiner("b", "10.0.0.2");
  second.remembered = Rank{1};
  EXPECT_EQ(planned(existing, {joiner("a", "10.0.0.1"), second}),
            (Lines{"2 a 10.0.0.1:5002", "1 b 10.0.0.2:6000"}));
}

TEST(JoinPlan, PutsSeveralWorkersOfOneHostOnDifferentPorts) {
  auto first = joiner("a", "10.0.0.1");
  first.port = 5002;
  EXPECT_EQ(planned({}, {first, joiner("a", "10.0.0.1"), joiner("a", "10.0.0.1")}),
            (Lines{"1 a 10.0.0.1:5002", "2 a 10.0.0.1:5003", "3 a 10.0.0.1:5004"}));
}

TEST(JoinPlan, RefusesTwoDataFoldersOfOneRank) {
  auto first = joiner("a", "10.0.0.1");
  auto second = joiner("b", "10.0.0.2");
  first.remembered = second.remembered = Rank{3};
  auto const plan = plan_join({}, std::vector{first, second}, {});
  ASSERT_TRUE(plan.has_error());
  EXPECT_EQ(plan.error().kind, ErrorKind::conflict);
  EXPECT_TRUE(plan.error().message.starts_with("a and b both have the data of rank 3"));
}

TEST(JoinPlan, SaysWhenNoPortIsLeft) {
  auto first = joiner("a", "10.0.0.1");
  auto second = first;
  first.port = second.port = 65535;
  auto const plan = plan_join({}, std::vector{first, second}, {});
  ASSERT_TRUE(plan.has_error());
  EXPECT_EQ(plan.error().kind, ErrorKind::exhausted);
}

TEST(JoinPlan, TheHighestRankWithAPortOfItsOwnIsTheLastOneThatHasOne) {
  auto highest = joiner("a", "10.0.0.1");
  highest.remembered = Rank{65535 - 5000};
  EXPECT_EQ(planned({}, {highest}), (Lines{"60535 a 10.0.0.1:65535"}));
  // The last two would wrap to ports 0 and 4999.
  for (std::uint32_t const rank : {60536U, 4'294'962'296U, 4'294'967'295U}) {
    auto beyond = highest;
    beyond.remembered = Rank{rank};
    EXPECT_EQ(planned({}, {beyond}),
              (Lines{fmt::format("no port is left for rank {} on a; give one with --port", rank)}));
    beyond.port = 6000;
    EXPECT_EQ(planned({}, {beyond}), (Lines{fmt::format("{} a 10.0.0.1:6000", rank)}));
  }
}

TEST(JoinPlan, GivesNobodyAnAddressThatIsTaken) {
  std::vector<TakenAddress> const taken{{.ip = "10.0.0.1", .port = 5001}};
  EXPECT_EQ(planned({}, {joiner("a", "10.0.0.1"), joiner("b", "10.0.0.2")}, taken),
            (Lines{"1 a 10.0.0.1:5002", "2 b 10.0.0.2:5002"}));
  auto wanting = joiner("a", "10.0.0.1");
  wanting.port = 5001;
  EXPECT_EQ(planned({}, {wanting}, taken),
            (Lines{"port 5001 of a (10.0.0.1) is taken; give another with --port"}));
  wanting.ip = "10.0.0.2";
  EXPECT_EQ(planned({}, {wanting}, taken), (Lines{"1 a 10.0.0.2:5001"}));
}

}  // namespace
}  // namespace grove
