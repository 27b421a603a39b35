#include "transfer/chunk_source.h"

#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/test_folder.h"
#include "format/chunk.h"
#include "net/test_loop.h"

namespace grove {
namespace {

// Bytes of which no two stretches are alike.
std::string varied(std::size_t size) {
  std::string text;
  text.reserve(size + 8);
  for (std::uint32_t i = 0; text.size() < size; ++i) {
    std::uint32_t const mixed = i * 2'654'435'761u;
    text.append(reinterpret_cast<char const*>(&mixed), sizeof mixed);
  }
  text.resize(size);
  return text;
}

class ChunkSourceTest : public testing::Test {
 protected:
  ChunkSource source_of(std::string const& content) {
    folder_.write("model.safetensors", content);
    return ChunkSource(loop_.executor(), File::open_readonly(path()).value(), cache_, offload_);
  }
  std::filesystem::path path() const { return folder_ / "model.safetensors"; }

  Result<std::vector<ReadChunk>> read(ChunkSource& source, std::vector<ChunkSlice> slices) {
    std::optional<Result<std::vector<ReadChunk>>> chunks;
    loop_.run([&]() -> Awaitable<void> { chunks = co_await source.read(slices); });
    return std::move(*chunks);
  }
  Result<Digest> hash(ChunkSource& source, std::uint64_t file_bytes) {
    std::optional<Result<Digest>> digest;
    loop_.run([&]() -> Awaitable<void> { digest = co_await source.hash_file(file_bytes); });
    return std::move(*digest);
  }

  void expect_changed(Error const& error) const {
    EXPECT_EQ(error, (Error{ErrorKind::conflict,
                            path().string() + " changed while it was being stored; store it again "
                                              "when it is written completely"}));
  }

  static void expect_chunk(ReadChunk& chunk, std::string_view raw) {
    EXPECT_EQ(chunk.ref, (ChunkRef{sha256(raw), static_cast<std::uint32_t>(raw.size())}));
    EXPECT_EQ(text_of(chunk.raw()), raw);
    seal_raw_chunk(chunk.buffer.span());  // there is room for it
    EXPECT_TRUE(check_chunk(chunk.buffer.span()));
  }

  TestFolder folder_;
  TestLoop loop_;
  Offload offload_{2};
  CacheUse cache_ = CacheUse::keep;
};

TEST_F(ChunkSourceTest, NamesEachSliceInOrder) {
  auto source = source_of("0123456789");
  auto chunks = read(source, {{.offset = 4, .bytes = 6}, {.offset = 0, .bytes = 4}});
  ASSERT_TRUE(chunks) << chunks.error().message;
  ASSERT_EQ(chunks.value().size(), 2u);
  expect_chunk(chunks.value()[0], "456789");
  expect_chunk(chunks.value()[1], "0123");
}

TEST_F(ChunkSourceTest, ReadsNothingWhereNothingIsAsked) {
  auto source = source_of("0123456789");
  EXPECT_TRUE(read(source, {}).value().empty());
}

TEST_F(ChunkSourceTest, ReadsTheSmallestAndTheLargestChunk) {
  std::uint32_t const largest = limits::chunk_bytes_max;
  auto const content = varied(largest + 1);
  auto source = source_of(content);
  auto chunks = read(source, {{.offset = 0, .bytes = largest}, {.offset = largest, .bytes = 1}});
  ASSERT_TRUE(chunks) << chunks.error().message;
  expect_chunk(chunks.value()[0], content.substr(0, largest));
  expect_chunk(chunks.value()[1], content.substr(largest));
}

TEST_F(ChunkSourceTest, SaysOfEachChunkWhichSliceItIs) {
  auto source = source_of("0123456789");
  auto const chunks = read(
      source, {{.offset = 0, .bytes = 4, .values = ValueType::bf16}, {.offset = 4, .bytes = 6}});
  EXPECT_EQ(chunks.value()[0].slice.values, ValueType::bf16);
  EXPECT_EQ(chunks.value()[1].slice.offset, 4u);
}

TEST_F(ChunkSourceTest, NoticesThatTheFileShrank) {
  auto source = source_of("0123456789");
  std::filesystem::resize_file(path(), 9);
  EXPECT_TRUE(read(source, {{.offset = 0, .bytes = 9}}));
  auto const chunks = read(source, {{.offset = 0, .bytes = 5}, {.offset = 5, .bytes = 5}});
  ASSERT_FALSE(chunks);
  expect_changed(chunks.error());
  EXPECT_EQ(hash(source, 9).value(), sha256("012345678"));
  auto const digest = hash(source, 10);
  ASSERT_FALSE(digest);
  expect_changed(digest.error());
}

TEST_F(ChunkSourceTest, GoesOnReadingAFileThatWasReplaced) {
  auto source = source_of("0123456789");
  folder_.write("other", "abcdefghij");
  std::filesystem::rename(folder_ / "other", path());
  EXPECT_EQ(hash(source, 10).value(), sha256("0123456789"));
}

TEST_F(ChunkSourceTest, HashesAFileOfAnySize) {
  auto const content = varied(2 * limits::chunk_bytes_max + 1);
  for (std::uint64_t const size :
       {std::uint64_t{0}, std::uint64_t{1}, limits::chunk_bytes_max - 1, limits::chunk_bytes_max,
        limits::chunk_bytes_max + 1, 2 * limits::chunk_bytes_max + 1}) {
    auto const part = content.substr(0, size);
    auto source = source_of(part);
    EXPECT_EQ(hash(source, size).value(), sha256(part)) << size;
  }
}

TEST_F(ChunkSourceTest, HashesNoMoreThanItWasToldOfAFileThatGrows) {
  auto source = source_of("0123456789");
  std::ofstream(path(), std::ios::app) << "more";
  EXPECT_EQ(hash(source, 10).value(), sha256("0123456789"));
}

TEST_F(ChunkSourceTest, HashesNotFarAheadOfWhatIsRead) {
  auto source = source_of("");
  auto const ahead = limits::hash_ahead_bytes_max;
  std::filesystem::resize_file(path(), ahead + 2);
  std::vector<ChunkSlice> const first{{.offset = 0, .bytes = 1}};
  std::vector<ChunkSlice> const second{{.offset = 1, .bytes = 1}};
  bool is_hashed = false;
  auto const hash_it = [&]() -> Awaitable<void> {
    auto const digest = co_await source.hash_file(ahead + 2);
    EXPECT_TRUE(digest.has_value());
    is_hashed = true;
  };
  loop_.run([&]() -> Awaitable<void> {
    loop_.tasks().spawn("hash", hash_it());
    auto chunks = co_await source.read(first);
    EXPECT_TRUE(chunks.has_value());
    chunks = co_await source.read(first);  // counted by bytes, whichever they are
    EXPECT_TRUE(chunks.has_value());
    EXPECT_FALSE(is_hashed);
    chunks = co_await source.read(second);
  });
  EXPECT_TRUE(is_hashed);
}

TEST_F(ChunkSourceTest, ReadsTheSameWhereItLeavesNothingInTheCache) {
  cache_ = CacheUse::drop_behind;
  auto const content = varied(3 * 4096 + 1);
  auto source = source_of(content);
  auto chunks = read(source, {{.offset = 1, .bytes = 3 * 4096}, {.offset = 0, .bytes = 4096}});
  expect_chunk(chunks.value()[0], std::string_view(content).substr(1));
  expect_chunk(chunks.value()[1], std::string_view(content).substr(0, 4096));
  EXPECT_EQ(hash(source, content.size()).value(), sha256(content));
}

TEST_F(ChunkSourceTest, StopsHashingWhenItsTaskIsCancelled) {
  auto source = source_of("0123456789");
  std::optional<Result<Digest>> digest;
  loop_.run([&]() -> Awaitable<void> {
    TaskGroup group(loop_.executor());
    auto const hash_it = [&]() -> Awaitable<void> { digest = co_await source.hash_file(10); };
    auto const stop_first = [&]() -> Awaitable<void> {
      group.cancel();
      co_await hash_it();
    };
    group.spawn("hash", stop_first());
    co_await group.wait();
  });
  ASSERT_TRUE(digest.has_value() && digest->has_error());
  EXPECT_EQ(digest->error().kind, ErrorKind::cancelled);
}

TEST_F(ChunkSourceTest, IsReadBySeveralTasksAtOnce) {
  auto const content = varied(64 * 1000);
  auto source = source_of(content);
  std::vector<std::vector<ChunkSlice>> asked;
  for (std::uint32_t i = 0; i < 64; ++i) asked.push_back({{.offset = i * 1000, .bytes = 1000}});
  auto const read_one = [&](std::vector<ChunkSlice> const& slices) -> Awaitable<void> {
    auto chunks = co_await source.read(slices);
    EXPECT_TRUE(chunks);
    if (!chunks) co_return;
    expect_chunk(chunks.value()[0], content.substr(slices[0].offset, slices[0].bytes));
  };
  loop_.run([&]() -> Awaitable<void> {
    for (auto const& slices : asked) loop_.tasks().spawn("read", read_one(slices));
    co_return;
  });
}

}  // namespace
}  // namespace grove
