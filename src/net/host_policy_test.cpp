#include "net/host_policy.h"

#include <boost/asio/ip/host_name.hpp>
#include <gtest/gtest.h>

namespace grove {
namespace {

auto const lan = asio::ip::make_address("192.168.1.7");

TEST(HostPolicy, AllowsTheAddressTheConnectionCameInOn) {
  HostPolicy const policy({});
  EXPECT_TRUE(policy.allows_host("192.168.1.7:5001", lan));
  EXPECT_TRUE(policy.allows_host("192.168.1.7", asio::ip::make_address("::ffff:192.168.1.7")));
  EXPECT_TRUE(policy.allows_host("[fe80:0::7]:1", asio::ip::make_address("fe80::7")));
  EXPECT_FALSE(policy.allows_host("192.168.1.8:5001", lan));
}

TEST(HostPolicy, AllowsThisMachinesNames) {
  HostPolicy const policy({});
  auto const name = asio::ip::host_name();
  EXPECT_TRUE(policy.allows_host(name + ":8000", lan));
  EXPECT_TRUE(policy.allows_host(name + ".local", lan));
  EXPECT_FALSE(policy.allows_host(name + ".example", lan));
}

TEST(HostPolicy, AllowsTheNamesOfTheConfig) {
  HostPolicy const policy({"Grove.Example", "fd00::7"});
  EXPECT_TRUE(policy.allows_host("grove.example:443", lan));
  EXPECT_TRUE(policy.allows_host("[fd00::7]", lan));
  EXPECT_FALSE(policy.allows_host("other.example", lan));
}

TEST(HostPolicy, JudgesAnOriginByItsHost) {
  HostPolicy const policy({});
  EXPECT_TRUE(policy.allows_origin("http://192.168.1.7:8000", lan));
  EXPECT_FALSE(policy.allows_origin("https://page.example", lan));
  EXPECT_FALSE(policy.allows_origin("null", lan));
  EXPECT_FALSE(policy.allows_origin("localhost", lan));
}

}  // namespace
}  // namespace grove
