#include "format/little_endian.h"

#include <array>
#include <cstdint>

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(LittleEndian, HasTheSmallestByteFirst) {
  std::array<std::byte, 10> bytes{};
  store_little_endian(std::span<std::byte>(bytes), 1, std::uint64_t{0x8877665544332211});
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(bytes[1], std::byte{0x11});
  EXPECT_EQ(bytes[8], std::byte{0x88});
  EXPECT_EQ(bytes[9], std::byte{0});
  EXPECT_EQ(load_little_endian<std::uint64_t>(bytes, 1), 0x8877665544332211u);
  EXPECT_EQ(load_little_endian<std::uint32_t>(bytes, 1), 0x44332211u);
  EXPECT_EQ(load_little_endian<std::uint16_t>(bytes, 8), 0x0088u);
}

}  // namespace
}  // namespace grove
