#include "store/chunk_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "store/test_store.h"

namespace grove {
namespace {

// Runs `body` in a process of its own. True where it ended itself by die(true).
bool in_own_process(std::function<void()> const& body) {
  auto const child = ::fork();
  if (child == 0) {
    body();
    ::_exit(1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Ends this process without any clean-up, as SIGKILL does.
[[noreturn]] void die(bool is_as_expected) {
  ::_exit(is_as_expected ? 0 : 1);
}

Buffer encoded(std::string_view text) {
  return encode_chunk(bytes_of(text), Codec::raw);
}

TEST(ChunkStore, GivesBackWhatWasPutBeforeAndAfterASync) {
  TestStore store;
  std::string const text(100'000, 'x');
  for (auto const codec : {Codec::raw, Codec::zstd}) {
    auto const raw = text + std::to_string(static_cast<int>(codec));
    auto const chunk = encode_chunk(bytes_of(raw), codec);
    auto const digest = sha256(raw);
    ASSERT_TRUE(store.chunks().put(digest, chunk.span()));
    EXPECT_TRUE(store.chunks().has(digest));
    EXPECT_EQ(text_of(store.chunks().get(digest).value().span()), text_of(chunk.span()));
    EXPECT_FALSE(std::filesystem::exists(store.chunk_path(digest)));

    ASSERT_TRUE(store.chunks().sync());
    EXPECT_TRUE(std::filesystem::exists(store.chunk_path(digest)));
    EXPECT_TRUE(names_in(store.data().tmp()).empty());
    EXPECT_EQ(text_of(store.chunks().get(digest).value().span()), text_of(chunk.span()));
    EXPECT_EQ(store.chunks().verify(digest).value(), chunk.size());
  }
}

TEST(ChunkStore, RefusesWhatDoesNotMatchItsName) {
  TestStore store;
  auto chunk = encoded("right");
  EXPECT_EQ(kind_of(store.chunks().put(sha256("wrong"), chunk.span())), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(store.chunks().put(sha256("right"), bytes_of("no chunk"))), ErrorKind::corrupt);
  chunk.span().back() ^= std::byte{1};
  EXPECT_EQ(kind_of(store.chunks().put(sha256("right"), chunk.span())), ErrorKind::corrupt);
  EXPECT_FALSE(store.chunks().has(sha256("right")));
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
}

TEST(ChunkStore, BelievesACallerThatHasProvenTheBytes) {
  TestStore store;
  auto const digest = sha256("proven");
  ASSERT_TRUE(store.chunks().put_proven(digest, encoded("proven").span(), CacheUse::keep));
  ASSERT_TRUE(store.chunks().put_proven(digest, encoded("proven").span(), CacheUse::keep));
  EXPECT_EQ(names_in(store.data().tmp()).size(), 1U);
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_TRUE(store.chunks().verify(digest));

  ASSERT_TRUE(
      store.chunks().put_proven(sha256("name"), encoded("not looked at").span(), CacheUse::keep));
  EXPECT_EQ(kind_of(store.chunks().verify(sha256("name"))), ErrorKind::corrupt);
}

TEST(ChunkStore, GivesTheRawBytesOfEveryCodec) {
  TestStore store;
  std::string const text(10'000, 'x');
  for (auto const codec : {Codec::raw, Codec::zstd, Codec::planes32}) {
    auto const raw = text + std::to_string(static_cast<int>(codec));
    auto const chunk = encode_chunk(bytes_of(raw), codec);
    ASSERT_TRUE(store.chunks().put(sha256(raw), chunk.span()));
    auto const got = store.chunks().get_raw(sha256(raw)).value();
    EXPECT_EQ(text_of(got.bytes), raw);
    EXPECT_EQ(got.codec, codec);
    EXPECT_EQ(got.encoded_bytes, chunk.size());
  }
  EXPECT_EQ(kind_of(store.chunks().get_raw(sha256("absent"))), ErrorKind::not_found);
}

TEST(ChunkStore, QuarantinesWhatIsSoundByItsChecksumAndDoesNotDecode) {
  TestStore store;
  std::string const raw(10'000, 'x');
  auto chunk = encode_chunk(bytes_of(raw), Codec::zstd);
  chunk.span().back() ^= std::byte{1};
  EnvelopeKind const kind{.noun = "chunk", .magic = {'g', 'r', 'v', 'c', 'h', 'u', 'n', 'k'}};
  seal(chunk.span(), parse_chunk_header(chunk.span()).value(), kind);
  ASSERT_TRUE(store.chunks().put_proven(sha256(raw), chunk.span(), CacheUse::keep));
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_TRUE(store.chunks().get(sha256(raw)));
  EXPECT_EQ(kind_of(store.chunks().get_raw(sha256(raw))), ErrorKind::corrupt);
  EXPECT_FALSE(store.chunks().has(sha256(raw)));
}

TEST(ChunkStore, CountsHowOftenTheDiskWasAskedToSync) {
  TestStore store;
  std::set<std::string> folders;
  for (int i = 0; i < 5; ++i) {
    auto const digest = store.put_chunk(std::to_string(i)).digest;
    folders.insert(store.chunk_path(digest).parent_path());
  }
  EXPECT_EQ(store.chunks().disk_syncs_count(), 0U);
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(store.chunks().disk_syncs_count(), 5 + folders.size());
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(store.chunks().disk_syncs_count(), 5 + folders.size()) << "nothing was waiting";
}

TEST(ChunkStore, WritesAChunkThatIsHereNoSecondTime) {
  TestStore store;
  auto const digest = store.put_chunk("once").digest;
  store.put_chunk("once");
  EXPECT_EQ(names_in(store.data().tmp()).size(), 1U);
  ASSERT_TRUE(store.chunks().sync());
  auto const before = stamp_of(store.chunk_path(digest)).value();
  store.put_chunk("once");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(stamp_of(store.chunk_path(digest)).value(), before);
}

TEST(ChunkStore, TellsWhatIsMissingInOrderAndOnce) {
  TestStore store;
  store.put_chunk("pending");
  EXPECT_EQ(kind_of(store.chunks().get(sha256("b"))), ErrorKind::not_found);
  std::vector const asked{sha256("b"), sha256("pending"), sha256("a"), sha256("b")};
  EXPECT_EQ(store.chunks().missing(asked), (std::vector{sha256("b"), sha256("a")}));
}

TEST(ChunkStore, CountsAFileNoLongerThanAHeaderAsAbsent) {
  TestStore store;
  auto const digest = sha256("real");
  auto const write = [&](std::size_t size) {
    std::ofstream(store.chunk_path(digest), std::ios::binary) << std::string(size, 'x');
  };
  write(0);
  EXPECT_FALSE(store.chunks().has(digest));
  write(limits::chunk_header_bytes + 1);
  EXPECT_TRUE(store.chunks().has(digest));
  write(limits::chunk_header_bytes);
  EXPECT_FALSE(store.chunks().has(digest));
  store.put_chunk("real");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_TRUE(store.chunks().verify(digest)) << "a put mends it";
}

TEST(ChunkStore, LosesInACrashOnlyWhatWasNotSynced) {
  TestFolder const folder;
  auto const open = [&](EmptyFolder empty) {
    return DataFolder::open(folder.path(), Rank{1}, empty);
  };
  ASSERT_TRUE(in_own_process([&] {
    auto const data = open(EmptyFolder::adopt).value();
    ChunkStore chunks(data, 0);
    die(chunks.put(sha256("synced"), encoded("synced").span()) && chunks.sync() &&
        chunks.put(sha256("unsynced"), encoded("unsynced").span()));
  }));
  EXPECT_EQ(names_in(folder / "tmp").size(), 1U);

  auto const data = open(EmptyFolder::refuse).value();
  ChunkStore chunks(data, 0);
  EXPECT_TRUE(chunks.verify(sha256("synced")));
  EXPECT_FALSE(chunks.has(sha256("unsynced")));
  EXPECT_TRUE(names_in(data.tmp()).empty());
}

TEST(ChunkStore, KeepsTheReserveFreeAndLeavesNothingBehind) {
  TestStore store;
  ChunkStore full(store.data(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(full.usable_bytes().value(), 0U);
  EXPECT_EQ(kind_of(full.put(sha256("a"), encoded("a").span())), ErrorKind::exhausted);
  EXPECT_FALSE(full.has(sha256("a")));
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
  EXPECT_FALSE(full.is_poisoned());

  store.put_chunk("a");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_TRUE(full.put(sha256("a"), encoded("a").span())) << "what is here needs no room";
}

TEST(ChunkStore, LeavesNothingBehindWhenTheDiskFills) {
  TestStore store;
  std::string const text(1'000'000, 'x');
  // A write past the limit fails as on a full disk, in the middle of the chunk.
  EXPECT_TRUE(in_own_process([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    struct rlimit const small{500'000, 500'000};
    ::setrlimit(RLIMIT_FSIZE, &small);
    auto const put = store.chunks().put(sha256(text), encoded(text).span());
    die(kind_of(put) == ErrorKind::exhausted && !store.chunks().has(sha256(text)) &&
        names_in(store.data().tmp()).empty() &&
        store.chunks().put(sha256("small"), encoded("small").span()) && store.chunks().sync());
  }));
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
  EXPECT_TRUE(store.chunks().has(sha256("small")));
}

TEST(ChunkStore, TrustsNothingAfterAFailedSync) {
  TestStore store;
  auto const digest = store.put_chunk("a").digest;
  ASSERT_TRUE(remove_tree(store.chunk_path(digest).parent_path()));
  EXPECT_FALSE(store.chunks().is_poisoned());
  auto const failed = store.chunks().sync();
  ASSERT_EQ(kind_of(failed), ErrorKind::internal);
  EXPECT_NE(failed.error().message.find("restart the worker"), std::string::npos);
  EXPECT_TRUE(store.chunks().is_poisoned());
  EXPECT_EQ(kind_of(store.chunks().put(sha256("b"), encoded("b").span())), ErrorKind::internal);
  EXPECT_EQ(kind_of(store.chunks().sync()), ErrorKind::internal);

  store.open();
  EXPECT_FALSE(store.chunks().has(digest));
  store.put_chunk("a");
  EXPECT_TRUE(store.chunks().sync());
}

TEST(ChunkStore, SyncsByItselfBeforeTooManyChunksWait) {
  TestStore store;
  for (std::size_t i = 1; i < limits::pending_chunks_max; ++i) store.put_chunk(std::to_string(i));
  EXPECT_EQ(names_in(store.data().tmp()).size(), limits::pending_chunks_max - 1);
  store.put_chunk("one more");
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
}

TEST(ChunkStore, MakesDurableInEverySyncWhatWasPutBeforeWhoeverSyncs) {
  TestStore store;
  constexpr int threads_count = 4;
  constexpr int rounds_count = 30;
  std::atomic<int> lost{0};
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < threads_count; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < rounds_count; ++round) {
        auto const own = store.put_chunk(fmt::format("{} of {}", round, thread));
        auto const shared = store.put_chunk(fmt::format("{} of all", round));
        if (!store.chunks().get(own.digest) || !store.chunks().get(shared.digest)) ++lost;
        if (!store.chunks().sync()) ++lost;
        if (!std::filesystem::exists(store.chunk_path(own.digest))) ++lost;
        if (!std::filesystem::exists(store.chunk_path(shared.digest))) ++lost;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(lost, 0);
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
}

class DamagedChunk : public testing::TestWithParam<std::function<void(std::filesystem::path)>> {};

TEST_P(DamagedChunk, IsQuarantinedAndAbsentUntilItIsPutAgain) {
  TestStore store;
  auto const digest = store.put_chunk("precious").digest;
  ASSERT_TRUE(store.chunks().sync());
  auto const removals = store.chunks().removals_count();
  GetParam()(store.chunk_path(digest));

  EXPECT_EQ(kind_of(store.chunks().get(digest)), ErrorKind::corrupt);
  EXPECT_FALSE(store.chunks().has(digest));
  EXPECT_EQ(kind_of(store.chunks().get(digest)), ErrorKind::not_found);
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 1U);
  EXPECT_GT(store.chunks().removals_count(), removals);

  store.put_chunk("precious");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_TRUE(store.chunks().verify(digest));
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedChunk,
    testing::Values([](auto const& path) { flip_byte(path, 35); },
                    [](auto const& path) { flip_byte(path, 0); },
                    [](auto const& path) { std::filesystem::resize_file(path, 36); },
                    [](auto const& path) { std::filesystem::resize_file(path, 0); },
                    [](auto const& path) { std::filesystem::resize_file(path, 41); },
                    [](auto const& path) {
                      std::filesystem::resize_file(path, limits::encoded_chunk_bytes_max + 1);
                    }));

TEST(ChunkStore, ProvesTheNameOnlyWhenAskedToVerify) {
  TestStore store;
  auto const digest = store.put_chunk("right").digest;
  ASSERT_TRUE(store.chunks().sync());
  // Sound by its checksum, but another chunk's bytes: as a misdirected write leaves them.
  std::ofstream(store.chunk_path(digest), std::ios::binary) << text_of(encoded("other").span());
  EXPECT_TRUE(store.chunks().get(digest));
  EXPECT_EQ(kind_of(store.chunks().verify(digest)), ErrorKind::corrupt);
  EXPECT_FALSE(store.chunks().has(digest));
  EXPECT_EQ(kind_of(store.chunks().verify(digest)), ErrorKind::not_found);
}

TEST(ChunkStore, ListsDurableChunksAndRemovesThem) {
  TestStore store;
  auto const digest = store.put_chunk("a").digest;
  auto const prefix = std::to_integer<std::uint8_t>(digest.bytes[0]);
  EXPECT_TRUE(store.chunks().list(prefix).value().empty());
  ASSERT_TRUE(store.chunks().sync());
  std::ofstream(store.chunk_path(digest).parent_path() / "not a chunk") << "x";
  auto const stored = store.chunks().list(prefix).value();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].digest, digest);
  EXPECT_EQ(stored[0].bytes_on_disk, limits::chunk_header_bytes + 1);
  EXPECT_GT(stored[0].mtime_ns, 0);

  ASSERT_TRUE(store.chunks().remove(digest));
  EXPECT_FALSE(store.chunks().has(digest));
  EXPECT_TRUE(store.chunks().remove(digest)) << "what is gone is fine";
  EXPECT_TRUE(store.chunks().list(prefix).value().empty());
}

}  // namespace
}  // namespace grove
