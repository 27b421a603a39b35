#include "base/direct_write.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

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

bool is_cached(std::filesystem::path const& path) {
  int const fd = ::open(path.c_str(), O_RDONLY);
  auto const page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const page = ::mmap(nullptr, page_bytes, PROT_READ, MAP_SHARED, fd, 0);
  unsigned char resident = 0;
  EXPECT_EQ(::mincore(page, page_bytes, &resident), 0);
  ::munmap(page, page_bytes);
  ::close(fd);
  return (resident & 1) != 0;
}

bool is_in_memory(std::filesystem::path const& path) {
  struct statfs status {};
  EXPECT_EQ(::statfs(path.c_str(), &status), 0);
  return status.f_type == TMPFS_MAGIC;
}

TEST(DirectWriteTest, LeavesNothingInTheCacheWhereThereIsAnotherWay) {
  TestFolder const folder;
  auto const bytes = some_bytes(limits::mib);
  auto usual = File::create(folder.path() / "usual").value();
  ASSERT_TRUE(usual.write_at(bytes, 0).has_value());
  EXPECT_TRUE(is_cached(usual.path()));

  auto past = File::create(folder.path() / "past").value();
  ASSERT_TRUE(write_past_cache(past, bytes).has_value());
  bool const has_another_way = past.reopen_past_cache() && !is_in_memory(past.path());
  EXPECT_EQ(is_cached(past.path()), !has_another_way);
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
