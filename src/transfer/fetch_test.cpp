#include "transfer/fetch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "format/chunk.h"
#include "transfer/fake_worker.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;
using Replaced = std::vector<std::pair<std::size_t, std::size_t>>;  // next, failed

std::string encoded(std::string const& raw) {
  auto const chunk = encode_chunk(bytes_of(raw), Codec::raw);
  return std::string(text_of(chunk));
}

// What a gather writes, and how often each place.
class WrittenFile {
 public:
  explicit WrittenFile(std::size_t size) : bytes_(size, '\0') {}

  FetchTarget target() {
    return {.sink = [this](std::span<std::byte const> raw, std::uint64_t offset) -> Result<void> {
              std::this_thread::sleep_for(write_time);
              std::lock_guard const lock(mutex_);
              if (error) return *error;
              bytes_.replace(offset, raw.size(), reinterpret_cast<char const*>(raw.data()),
                             raw.size());
              ++writes_[offset];
              return ok();
            },
            .on_replaced =
                [this](std::size_t next, std::size_t failed) {
                  replaced.push_back({next, failed});
                }};
  }
  std::string const& bytes() const { return bytes_; }
  std::size_t writes_count() const { return writes_.size(); }
  bool wrote_each_place_once() const {
    return std::all_of(writes_.begin(), writes_.end(),
                       [](auto const& at) { return at.second == 1; });
  }

  std::chrono::milliseconds write_time{0};
  std::optional<Error> error;
  Replaced replaced;

 private:
  std::mutex mutex_;
  std::string bytes_;
  std::map<std::uint64_t, std::size_t> writes_;
};

class FetchTest : public ::testing::Test {
 protected:
  // A list of `count` chunks of 1000 bytes at `offset`, kept by both workers.
  ShardList keep(std::size_t count, std::uint64_t offset = 0) {
    ShardList list{.file_offset = offset, .chunks = {}};
    for (std::size_t i = 0; i < count; ++i) add(list, std::string(1000, letter_++));
    return list;
  }
  void add(ShardList& list, std::string const& raw) {
    auto const digest = sha256(raw);
    for (auto* worker : {&first, &second}) worker->chunks[digest] = encoded(raw);
    list.chunks.push_back({.digest = digest, .raw_bytes = static_cast<std::uint32_t>(raw.size())});
  }
  // 0 is `first`, 1 is `second`.
  std::vector<Holder> holders(auto... indexes) {
    std::vector<Holder> result;
    (result.push_back(
         {.worker_index = indexes, .client = (indexes == 0 ? first : second).client()}),
     ...);
    return result;
  }
  // Runs `body`, which is given the fetch, and ends all.
  void run(std::function<Awaitable<void>(Fetch&)> body) {
    loop.run([&]() -> Awaitable<void> {
      Fetch::Options options{.executor = loop.executor(),
                             .offload = offload,
                             .buffers = buffers,
                             .on_failure = [this](std::size_t worker) { ++failures[worker]; },
                             .on_damage = [this](std::size_t worker) { ++damages[worker]; },
                             .on_bytes = [this](std::uint64_t count) { bytes_done += count; }};
      Fetch fetch(std::move(options));
      co_await body(fetch);
      co_await fetch.stop();
      http.close_idle();
      co_await first.stop();
      co_await second.stop();
    });
    EXPECT_EQ(buffers.available(), limits::job_buffers_bytes_max);
  }

  // Fetches one list from these workers, as in holders(), and ends all.
  Result<std::size_t> fetch(ShardList const& list, WrittenFile& file, auto... indexes) {
    std::optional<Result<std::size_t>> served_by;
    run([&](Fetch& fetch) -> Awaitable<void> {
      served_by = co_await fetch.chunks(list, holders(indexes...), file.target());
    });
    return std::move(*served_by);
  }

  TestLoop loop;
  Offload offload{2};
  HttpClient http{loop.executor()};
  Semaphore buffers{loop.executor(), limits::job_buffers_bytes_max};
  FakeWorker first{loop, http, Rank{1}};
  FakeWorker second{loop, http, Rank{2}};
  std::map<std::size_t, int> failures;
  std::map<std::size_t, int> damages;
  std::uint64_t bytes_done = 0;
  char letter_ = 'a';
};

TEST_F(FetchTest, BringsEveryChunkToAllItsPlacesFromItsFirstHolder) {
  auto list = keep(5);
  auto const again = list.chunks.front();
  list.chunks.push_back(again);
  WrittenFile file(6000);
  EXPECT_EQ(fetch(list, file, 0u, 1u).value(), 0u);
  std::string expected;
  for (char const letter : std::string("abcdea")) expected += std::string(1000, letter);
  EXPECT_EQ(file.bytes(), expected);
  EXPECT_TRUE(file.wrote_each_place_once());
  EXPECT_EQ(bytes_done, 6000u);
  EXPECT_EQ(first.served_count, 5u);
  EXPECT_LE(first.gets_at_once_max, limits::gets_in_flight_max);
  EXPECT_TRUE(failures.empty() && file.replaced.empty());
}

TEST_F(FetchTest, AsksNobodyForAnEmptyList) {
  WrittenFile file(0);
  EXPECT_EQ(fetch(ShardList{}, file, 1u, 0u).value(), 1u);
  EXPECT_EQ(first.served_count + second.served_count, 0u);
}

TEST_F(FetchTest, TakesFromTheOtherHolderWhatOneLacksOrGarbles) {
  auto const list = keep(4);
  first.chunks.erase(list.chunks[1].digest);
  first.chunks[list.chunks[2].digest] = encoded("something else");
  WrittenFile file(4000);
  EXPECT_EQ(fetch(list, file, 0u, 1u).value(), 1u);
  EXPECT_EQ(file.writes_count(), 4u);
  EXPECT_TRUE(file.wrote_each_place_once());
  EXPECT_EQ(first.served_count, 4u);  // the garbled one, too, and once more
  EXPECT_EQ(second.served_count, 2u);
  EXPECT_EQ(failures, (std::map<std::size_t, int>{{0, 2}}));
  EXPECT_EQ(file.replaced, (Replaced{{1, 0}}));
}

TEST_F(FetchTest, NamesWhatEachHolderSaidWhenNoneGivesAChunk) {
  auto const list = keep(2);
  first.chunks.erase(list.chunks[1].digest);
  second.chunks[list.chunks[1].digest] = encoded("something else");
  WrittenFile file(2000);
  auto const served_by = fetch(list, file, 0u, 1u);
  EXPECT_EQ(served_by.error().kind, ErrorKind::unavailable);
  EXPECT_NE(served_by.error().message.find("pi4-1"), std::string::npos);
  EXPECT_NE(served_by.error().message.find("; pi4-2"), std::string::npos);
}

TEST_F(FetchTest, AsksAHolderThatIsGoneForNothingMore) {
  auto const one = keep(3);
  auto const two = keep(3, 3000);
  WrittenFile file(6000);
  run([&](Fetch& fetch) -> Awaitable<void> {
    auto const gone = holders(0u, 1u);
    co_await first.stop();
    auto served_by = co_await fetch.chunks(one, gone, file.target());
    EXPECT_EQ(served_by.value(), 1u);
    auto const counted = failures;
    EXPECT_GE(counted.at(0), 1);
    served_by = co_await fetch.chunks(two, gone, file.target());
    EXPECT_EQ(served_by.value(), 1u);
    std::vector<Holder> const alone(1, gone.front());
    served_by = co_await fetch.chunks(two, alone, file.target());
    EXPECT_EQ(served_by.error().kind, ErrorKind::unavailable);
    EXPECT_NE(served_by.error().message.find("refused"), std::string::npos);
    EXPECT_EQ(failures, counted);
  });
  EXPECT_EQ(file.replaced, (Replaced{{1, 0}, {1, 0}}));
}

TEST_F(FetchTest, TakesALateChunkFromAnotherHolderAndWritesItOnce) {
  auto const stuck = keep(2);
  auto const own = keep(12, 2000);
  first.get_delay = std::chrono::seconds(30);
  second.get_delay = std::chrono::milliseconds(40);
  WrittenFile file(14000);
  run([&](Fetch& fetch) -> Awaitable<void> {
    TaskGroup group(loop.executor());
    auto const begun = Clock::now();
    auto const fetch_own = [&]() -> Awaitable<void> {
      auto const served_by = co_await fetch.chunks(own, holders(1u), file.target());
      EXPECT_EQ(served_by.value(), 1u);
    };
    group.spawn("own", fetch_own());
    auto const served_by = co_await fetch.chunks(stuck, holders(0u, 1u), file.target());
    EXPECT_EQ(served_by.value(), 1u);
    EXPECT_LT(Clock::now() - begun, limits::idle_timeout);
    co_await group.wait();
  });
  EXPECT_EQ(file.writes_count(), 14u);
  EXPECT_TRUE(file.wrote_each_place_once());
  EXPECT_EQ(bytes_done, 14000u);
  EXPECT_EQ(file.replaced, (Replaced{{1, 0}}));
  EXPECT_LE(second.gets_at_once_max, limits::gets_in_flight_max);
}

TEST_F(FetchTest, StopsAListWhoseSinkFails) {
  auto const list = keep(20);
  WrittenFile full(20000);
  full.error = Error{ErrorKind::exhausted, "disk full"};
  EXPECT_EQ(fetch(list, full, 0u, 1u).error(), *full.error);
  EXPECT_LE(first.served_count, 4u);
  EXPECT_TRUE(failures.empty());
}

TEST_F(FetchTest, LeavesNoSinkAtWorkOnceItIsStopped) {
  auto const list = keep(20);
  WrittenFile file(20000);
  file.write_time = std::chrono::milliseconds(20);
  std::size_t writes_at_the_stop = 0;
  run([&](Fetch& fetch) -> Awaitable<void> {
    TaskGroup group(loop.executor());
    auto const fetch_all = [&]() -> Awaitable<void> {
      auto const served_by = co_await fetch.chunks(list, holders(0u, 1u), file.target());
      EXPECT_EQ(served_by.error().kind, ErrorKind::cancelled);
    };
    group.spawn("fetch", fetch_all());
    std::ignore = co_await sleep_for(std::chrono::milliseconds(50));
    group.cancel();
    co_await group.wait();
    co_await fetch.stop();
    writes_at_the_stop = file.writes_count();
  });
  EXPECT_EQ(file.writes_count(), writes_at_the_stop);
  EXPECT_LT(file.writes_count(), 20u);
}

}  // namespace
}  // namespace grove
