#include "base/direct_write.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"

namespace grove {
namespace {

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t state = 1;
  for (auto& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

TEST(DirectWriteTest, MakesAnyNumberOfBytesTheContent) {
  TestFolder const folder;
  for (std::size_t const size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{256 * 1024},
        std::size_t{256 * 1024 + 1}, std::size_t{limits::mib}, std::size_t{limits::mib + 4095},
        std::size_t{limits::encoded_chunk_bytes_max}}) {
    auto const bytes = some_bytes(size);
    auto file = File::create(folder.path() / std::to_string(size)).value();
    ASSERT_TRUE(write_past_cache(file, bytes).has_value()) << size;
    ASSERT_TRUE(file.sync_data().has_value());
    auto const read = read_whole(file.path(), size).value();  // refuses one that is longer
    EXPECT_TRUE(std::ranges::equal(read.span(), bytes)) << size;
  }
}

TEST(DirectWriteTest, TakesBytesFromAnyAddress) {
  TestFolder const folder;
  auto const bytes = some_bytes(limits::mib + 64);
  for (std::size_t const start : {std::size_t{1}, std::size_t{32}, std::size_t{63}}) {
    auto const part = std::span(bytes).subspan(start, limits::mib);
    auto file = File::create(folder.path() / std::to_string(start)).value();
    ASSERT_TRUE(write_past_cache(file, part).has_value());
    auto const read = read_whole(file.path(), part.size()).value();
    EXPECT_TRUE(std::ranges::equal(read.span(), part)) << start;
  }
}

TEST(DirectWriteTest, SaysWhichFileCannotBeWritten) {
  TestFolder const folder;
  auto const bytes = some_bytes(limits::mib);
  auto created = File::create(folder.path() / "gone").value();
  created.close();
  auto const written = write_past_cache(created, bytes);
  ASSERT_TRUE(written.has_error());
  EXPECT_NE(written.error().message.find("gone"), std::string::npos);
}

}  // namespace
}  // namespace grove
