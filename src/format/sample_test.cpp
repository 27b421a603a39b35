#include "format/sample.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "format/weights_fixture.h"

namespace grove {
namespace {

constexpr SampleShape shape{.windows_count = 4, .window_bytes = 16};

Bytes sample_of(std::span<std::byte const> bytes) {
  Bytes room(shape.windows_count * shape.window_bytes);
  auto const sample = take_sample(bytes, shape, room);
  return {sample.begin(), sample.end()};
}

TEST(Sample, IsEverythingWhereThatIsLittle) {
  for (std::size_t const size : {0u, 1u, 63u, 64u}) EXPECT_EQ(sample_of(noise(size)), noise(size));
}

TEST(Sample, ReachesFromTheBeginningToTheEndInWholeValues) {
  for (std::size_t const size : {65u, 1000u, 4096u, 50'001u}) {
    Bytes const bytes = bytes_from<std::uint16_t>(
        size, [n = 0]() mutable { return static_cast<std::uint16_t>(n++); });
    Bytes const sample = sample_of(bytes);
    ASSERT_EQ(sample.size(), 64u);
    EXPECT_TRUE(std::ranges::equal(std::span(sample).first(16), std::span(bytes).first(16)));
    std::uint16_t last = 0;
    std::memcpy(&last, sample.data() + 62, 2);
    EXPECT_LE(size - 1 - last, 4u);
  }
}

TEST(Sample, SaysHowManyBitsAByteNeeds) {
  EXPECT_EQ(estimate_bits({}), 0);
  EXPECT_EQ(estimate_bits(Bytes(4096, std::byte{7})), 0);
  EXPECT_NEAR(estimate_bits(noise(4096)), 8, 0.02);
  EXPECT_NEAR(estimate_bits(noise(1 << 20)), 8, 0.001);
  Bytes halves = noise(4096);
  for (std::byte& byte : halves) byte &= std::byte{0x11};
  EXPECT_NEAR(estimate_bits(halves), 2, 0.01);
}

TEST(Sample, TakesAPlaneForRawThatIsNotWorthCoding) {
  EXPECT_EQ(estimate_ratio(8), 1);
  EXPECT_EQ(estimate_ratio(bits_worth_coding), 1);
  EXPECT_LT(estimate_ratio(bits_worth_coding - 0.01), 0.98);
  EXPECT_EQ(estimate_ratio(2), 0.25);
}

}  // namespace
}  // namespace grove
