#include "format/byte_planes.h"

#include <algorithm>
#include <initializer_list>

#include <gtest/gtest.h>

#include "format/weights_fixture.h"

namespace grove {
namespace {

Bytes octets(std::initializer_list<int> values) {
  Bytes bytes;
  for (int const value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Planes planes_in(std::span<std::byte const> bytes, std::size_t value_bytes) {
  Planes planes;
  std::size_t const size = bytes.size() / value_bytes;
  for (std::size_t p = 0; p < value_bytes; ++p) planes[p] = bytes.subspan(p * size, size);
  return planes;
}

Bytes split(std::span<std::byte const> raw, PlaneLayout layout) {
  Bytes planes(raw.size());
  split_planes(raw, layout, adjacent_planes(planes, layout.value_bytes));
  return planes;
}

Bytes difference(std::span<std::byte const> raw, std::span<std::byte const> base,
                 std::size_t value_bytes) {
  Bytes planes(raw.size());
  split_difference(raw, base, value_bytes, adjacent_planes(planes, value_bytes));
  return planes;
}

constexpr std::array<PlaneLayout, 8> layouts{
    {{1, 0}, {2, 0}, {2, 1}, {4, 0}, {4, 1}, {8, 0}, {8, 4}, {8, 63}}};

TEST(BytePlanes, HoldOneByteOfEveryValueEach) {
  Bytes const raw = octets({0x01, 0x02, 0x03, 0x04, 0x11, 0x12, 0x13, 0x14});
  EXPECT_EQ(split(raw, {4, 0}), octets({0x01, 0x11, 0x02, 0x12, 0x03, 0x13, 0x04, 0x14}));
}

TEST(BytePlanes, PutTheExponentIntoOneByte) {
  // -1.5 as BF16, F32 and F64: exponents 127, 127 and 1023.
  EXPECT_EQ(split(octets({0xc0, 0xbf}), {2, 1}), octets({0x81, 0x7f}));
  EXPECT_EQ(split(octets({0x00, 0x00, 0xc0, 0xbf}), {4, 1}), octets({0x01, 0x00, 0x80, 0x7f}));
  EXPECT_EQ(split(octets({0, 0, 0, 0, 0, 0, 0xf8, 0xbf}), {8, 4}),
            octets({0x0b, 0, 0, 0, 0, 0, 0x80, 0xff}));
}

TEST(BytePlanes, KeepEveryBitPatternOf16Bits) {
  Bytes raw(131'072);
  for (std::size_t i = 0; i < 65536; ++i) {
    raw[2 * i] = static_cast<std::byte>(i & 0xff);
    raw[2 * i + 1] = static_cast<std::byte>(i >> 8);
  }
  Bytes const reversed(raw.rbegin(), raw.rend());
  for (unsigned bits = 0; bits < 16; ++bits) {
    Bytes back(raw.size());
    merge_planes(planes_in(split(raw, {2, bits}), 2), {2, bits}, back);
    ASSERT_EQ(back, raw) << bits;
  }
  Bytes back(raw.size());
  merge_difference(planes_in(difference(raw, reversed, 2), 2), reversed, 2, back);
  EXPECT_EQ(back, raw);
}

// Around the blocks in which they are cut, at every alignment.
TEST(BytePlanes, GiveBackEveryLengthAtEveryAlignment) {
  for (PlaneLayout const layout : layouts) {
    for (std::size_t const count : {0u, 1u, 2u, 511u, 512u, 513u, 1023u, 1024u, 1025u, 2000u}) {
      std::size_t const size = count * layout.value_bytes;
      std::size_t const shift = count % 8 + 1;
      Bytes const room = noise(size + shift, 1);
      auto const raw = std::span(room).subspan(shift);
      Bytes planes(size + shift);
      split_planes(raw, layout,
                   adjacent_planes(std::span(planes).subspan(shift), layout.value_bytes));
      Bytes back(size + 3);
      merge_planes(planes_in(std::span(planes).subspan(shift), layout.value_bytes), layout,
                   std::span(back).subspan(3));
      EXPECT_TRUE(std::ranges::equal(std::span(back).subspan(3), raw)) << count;
    }
  }
}

TEST(BytePlanes, OfADifferenceAreSmallNumbersForSmallChanges) {
  // 16-bit values: one less, the same, one more, two less, and the widest change there is.
  Bytes const base = octets({0x00, 0x01, 0x34, 0x12, 0xff, 0x00, 0x01, 0x00, 0x00, 0x00});
  Bytes const raw = octets({0xff, 0x00, 0x34, 0x12, 0x00, 0x01, 0xff, 0xff, 0x00, 0x80});
  EXPECT_EQ(difference(raw, base, 2), octets({1, 0, 2, 3, 0xff, 0, 0, 0, 0, 0xff}));
}

TEST(BytePlanes, OfADifferenceRebuildTheValues) {
  for (std::size_t const value_bytes : {1u, 2u, 4u, 8u}) {
    for (std::size_t const count : {1u, 511u, 512u, 513u, 1500u}) {
      Bytes const raw = noise(count * value_bytes, 1);
      Bytes const base = noise(count * value_bytes, 2);
      Bytes back(raw.size());
      merge_difference(planes_in(difference(raw, base, value_bytes), value_bytes), base,
                       value_bytes, back);
      EXPECT_EQ(back, raw) << value_bytes << ' ' << count;
    }
  }
}

}  // namespace
}  // namespace grove
