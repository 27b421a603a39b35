#include "coordinator/discovery.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(DiscoveryTimeout, IsANumberOfSecondsWithinItsRange) {
  for (auto const* text : {"0.1", "5", "10.0", "300", "2e1"}) {
    EXPECT_TRUE(parse_discovery_timeout(text)) << text;
  }
  EXPECT_EQ(parse_discovery_timeout("2.5").value().count(), 2.5);
}

TEST(DiscoveryTimeout, RefusesWhatIsNone) {
  for (auto const* text :
       {"", "0.09", "0", "-1", "300.1", "nan", "inf", "1e999", "5s", " 5", "+5"}) {
    auto const timeout = parse_discovery_timeout(text);
    ASSERT_FALSE(timeout) << text;
    EXPECT_EQ(timeout.error().kind, ErrorKind::invalid);
  }
}

TEST(DiscoveryAnswer, HasTheReferencesFieldsInItsOrder) {
  std::vector<FoundWorker> const workers{
      {.ip = "192.168.1.7", .port = 5001, .rank = Rank{1}, .host = "pi4-1", .id = "x"}};
  EXPECT_EQ(serialize_workers(workers),
            R"({"workers":[{"ip":"192.168.1.7","port":5001,"rank":1,"hostname":"pi4-1"}]})");
  EXPECT_EQ(serialize_workers({}), R"({"workers":[]})");
}

TEST(DiscoveryAddress, PrefersWhatOtherMachinesCanUse) {
  std::vector<char const*> const best_first{"192.168.1.7", "2001:db8::1", "fd00::1", "fe80::1",
                                            "127.0.0.1"};
  for (std::size_t i = 0; i + 1 < best_first.size(); ++i) {
    auto const better = asio::ip::make_address(best_first[i]);
    auto const worse = asio::ip::make_address(best_first[i + 1]);
    EXPECT_TRUE(is_better_address(better, worse)) << better << " and " << worse;
    EXPECT_FALSE(is_better_address(worse, better)) << better << " and " << worse;
  }
}

TEST(DiscoveryAddress, IsTheSameWhicheverOfTwoEqualOnesIsSeenFirst) {
  auto const a = asio::ip::make_address("10.0.0.1");
  auto const b = asio::ip::make_address("10.0.0.2");
  EXPECT_TRUE(is_better_address(a, b));
  EXPECT_FALSE(is_better_address(b, a));
  EXPECT_FALSE(is_better_address(a, a));
}

}  // namespace
}  // namespace grove
