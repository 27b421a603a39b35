#include "plan/windows.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using limits::kib;
using limits::mib;

std::vector<ChunkSlice> slices_of(std::size_t count, std::uint64_t bytes) {
  std::vector<ChunkSlice> slices;
  for (std::size_t index = 0; index < count; ++index) {
    slices.push_back({.offset = 1000 + index * bytes, .bytes = static_cast<std::uint32_t>(bytes)});
  }
  return slices;
}

std::vector<std::uint64_t> sizes_of(std::vector<Window> const& windows) {
  std::vector<std::uint64_t> sizes;
  for (auto const& window : windows) sizes.push_back(window.bytes);
  return sizes;
}

TEST(Windows, AreNoneWhereThereAreNoChunks) {
  EXPECT_TRUE(cut_windows({}).empty());
}

TEST(Windows, HoldOneChunkAtLeast) {
  EXPECT_EQ(cut_windows(slices_of(1, 1)),
            (std::vector<Window>{{.first = 0, .last = 1, .bytes = 1}}));
}

TEST(Windows, EndWithTheSmallestChunksThatThereAre) {
  EXPECT_EQ(sizes_of(cut_windows(slices_of(8, 4 * mib))),
            (std::vector<std::uint64_t>{8 * mib, 8 * mib, 8 * mib, 4 * mib, 4 * mib}));
}

TEST(Windows, HalveTowardsTheEnd) {
  EXPECT_EQ(sizes_of(cut_windows(slices_of(20 * 16, 64 * kib))),
            (std::vector<std::uint64_t>{8 * mib, 6 * mib, 3 * mib, 1536 * kib, mib, 512 * kib}));
}

TEST(Windows, FollowOneAnotherOverAllChunks) {
  auto const slices = slices_of(1001, 37 * kib);
  std::size_t next = 0;
  for (auto const& window : cut_windows(slices)) {
    EXPECT_EQ(window.first, next);
    EXPECT_EQ(window.bytes, (window.last - window.first) * 37 * kib);
    EXPECT_LE(window.bytes, limits::window_bytes_max);
    next = window.last;
  }
  EXPECT_EQ(next, slices.size());
}

}  // namespace
}  // namespace grove
