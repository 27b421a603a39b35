#include "transfer/replicate.h"

#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "net/test_loop.h"
#include "transfer/fake_worker.h"

namespace grove {
namespace {

class ReplicateTest : public testing::Test {
 protected:
  ReplicateTest() {
    for (int number = 0; number < 6; ++number) {
      std::string const raw(1000, static_cast<char>('a' + number));
      auto const digest = sha256(raw);
      list_.chunks.push_back({.digest = digest, .raw_bytes = 1000});
      auto const encoded = encode_chunk(bytes_of(raw), Codec::raw);
      std::string const text(text_of(encoded));
      one_.chunks[digest] = two_.chunks[digest] = text;
    }
  }

  Result<void> bring() {
    auto outcome = Result<void>(ok());
    loop_.run([&]() -> Awaitable<void> {
      auto to = target_.client();
      std::vector<WorkerAddress> const from{one_.client().address(), two_.client().address()};
      ReplicateEvents const events{
          .wait_for_turn = [this]() -> Awaitable<bool> { co_return go_on_; },
          .moved = [this](std::uint64_t bytes,
                          std::chrono::nanoseconds) { moved_bytes_ += bytes; }};
      auto const bytes = serialize(list_);
      outcome = co_await replicate(to, from, sha256(bytes.span()), list_, events);
      http_.close_idle();
      co_await one_.stop();
      co_await two_.stop();
      co_await target_.stop();
    });
    return outcome;
  }

  TestLoop loop_;
  HttpClient http_{loop_.executor()};
  FakeWorker one_{loop_, http_, Rank{1}};
  FakeWorker two_{loop_, http_, Rank{2}};
  FakeWorker target_{loop_, http_, Rank{3}};
  ShardList list_;
  std::uint64_t moved_bytes_ = 0;
  bool go_on_ = true;
};

TEST_F(ReplicateTest, TakesFromAllSourcesWhatIsLackingAndMakesItDurable) {
  target_.chunks[list_.chunks[0].digest] = one_.chunks[list_.chunks[0].digest];
  auto const done = bring();
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(target_.chunks.size(), 6u);
  EXPECT_EQ(target_.pulled.size(), 5u);
  EXPECT_GT(one_.served_count, 0u);
  EXPECT_GT(two_.served_count, 0u);
  EXPECT_GT(target_.syncs_count, 0u);
  EXPECT_EQ(target_.lists.size(), 1u);
  EXPECT_EQ(moved_bytes_, 5000u);
}

TEST_F(ReplicateTest, AsksTheOthersForWhatOneDoesNotGive) {
  one_.chunks.clear();
  auto const done = bring();
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(target_.chunks.size(), 6u);
}

TEST_F(ReplicateTest, SaysWhatNobodyGives) {
  one_.chunks.erase(list_.chunks[2].digest);
  two_.chunks.erase(list_.chunks[2].digest);
  auto const done = bring();
  ASSERT_TRUE(done.has_error());
  EXPECT_EQ(done.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(done.error().message.starts_with("1 chunks could not be had, of 2 workers: "))
      << done.error().message;
  EXPECT_TRUE(target_.lists.empty());
}

TEST_F(ReplicateTest, StopsWhereThePaceSaysSo) {
  go_on_ = false;
  auto const done = bring();
  ASSERT_TRUE(done.has_error());
  EXPECT_EQ(done.error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(target_.lists.empty());
}

TEST_F(ReplicateTest, MovesAChunkThatRepeatsOnce) {
  list_.chunks.push_back(list_.chunks[0]);
  ASSERT_TRUE(bring().has_value());
  EXPECT_EQ(target_.pulled.size(), 6u);
}

}  // namespace
}  // namespace grove
