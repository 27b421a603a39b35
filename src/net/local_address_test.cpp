#include "net/local_address.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(LocalAddress, TowardsTheLoopbackIsTheLoopback) {
  auto const address = local_address_towards("127.0.0.2");
  ASSERT_TRUE(address.has_value()) << address.error().message;
  EXPECT_EQ(address.value(), "127.0.0.1");
}

TEST(LocalAddress, TowardsANameIsRefused) {
  auto const address = local_address_towards("pi4-1");
  ASSERT_TRUE(address.has_error());
  EXPECT_EQ(address.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace grove
