#include "transfer/push.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"
#include "net/parallel.h"
#include "transfer/fake_worker.h"

namespace grove {
namespace {

constexpr std::uint32_t small = 1000;

using Digests = std::set<Digest>;

Digests set_of(std::vector<Digest> const& digests) {
  return {digests.begin(), digests.end()};
}

class PushTest : public testing::Test {
 protected:
  // Ranks 1 to `count`: a shard's primary and its replicas.
  void start_workers(std::uint32_t count) {
    for (std::uint32_t rank = 1; rank <= count; ++rank) {
      workers_.push_back(std::make_unique<FakeWorker>(loop_, http_, Rank{rank}));
    }
  }
  FakeWorker& primary() { return *workers_.at(0); }
  FakeWorker& replica() { return *workers_.at(1); }

  // A file of `count` chunks of `bytes`, each of another letter, as one shard.
  void write_chunks(std::size_t count, std::uint32_t bytes = small) {
    std::string content;
    for (std::size_t index = 0; index < count; ++index) {
      std::string const chunk(bytes, static_cast<char>('a' + index));
      slices_.push_back({.offset = content.size(), .bytes = bytes});
      digests_.push_back(sha256(chunk));
      content += chunk;
    }
    folder_.write("model.safetensors", content);
    open();
  }
  void open() {
    source_.emplace(loop_.executor(), File::open_readonly(path()).value(), CacheUse::keep,
                    offload_);
  }
  std::filesystem::path path() const { return folder_ / "model.safetensors"; }

  void prepare_push() {
    std::vector<WorkerClient> clients;
    for (auto const& worker : workers_) clients.push_back(worker->client());
    prepare_push_to(std::move(clients));
  }
  void prepare_push_to(std::vector<WorkerClient> clients) {
    auto const on_retry = [this](std::size_t copy, RetryNotice const& notice) {
      retries_.emplace_back(copy, notice);
      if (on_retry_) on_retry_();
    };
    auto const on_durable = [this](std::uint64_t bytes) { durable_.push_back(bytes); };
    auto const commit = [](std::size_t, WorkerClient& worker, Digest list) {
      return worker.put_ref({.key = CheckpointKey::parse("run1/model.safetensors").value(),
                             .generation = {7},
                             .name = RefName{ShardIndex{0}},
                             .target = list});
    };
    endpoints_.clear();
    for (auto const& client : clients) endpoints_.push_back(client.address().endpoint);
    auto const locate = [this](std::size_t copy) { return endpoints_[copy]; };
    errors_.resize(clients.size());
    push_ = std::make_unique<ShardPush>(loop_.executor(), *source_, sender_, slices_,
                                        std::move(clients), buffers_,
                                        PushEvents{on_retry, on_durable, locate}, commit);
    push_->on_list_known = [this](Digest list) { lists_known_.push_back(list); };
  }

  // Where nobody listens: `closed` is bound, so that nobody else gets the port.
  WorkerClient client_at(tcp::acceptor& closed) {
    closed.open(tcp::v4());
    closed.bind({asio::ip::address_v4::loopback(), 0});
    WorkerAddress const gone{
        .rank = Rank{1},
        .id = {},
        .endpoint = {.host = "127.0.0.1", .port = closed.local_endpoint().port(), .name = "pi4-1"}};
    return {http_, gone, "job"};
  }

  Awaitable<void> run_copy(std::size_t copy) {
    auto result = co_await push_->run_copy(copy);
    if (result.has_error()) errors_[copy] = std::move(result).error();
  }

  // Brings the shard to all copies, or runs `body` instead, and stops the workers.
  void run() {
    run([this]() -> Awaitable<void> {
      std::vector<Awaitable<void>> copies;
      for (std::size_t copy = 0; copy < errors_.size(); ++copy) copies.push_back(run_copy(copy));
      co_await run_all(std::move(copies));
    });
  }
  void run(std::function<Awaitable<void>()> body) {
    loop_.run([&]() -> Awaitable<void> {
      co_await body();
      http_.close_idle();
      for (auto const& worker : workers_) co_await worker->stop();
    });
    EXPECT_EQ(buffers_.available(), limits::job_buffers_bytes_max);
    EXPECT_EQ(encodings_.available(), limits::encoding_bytes_max);
  }

  void expect_whole(FakeWorker const& worker) const {
    for (auto const& digest : digests_) EXPECT_TRUE(worker.chunks.contains(digest));
    ASSERT_TRUE(push_->list().has_value());
    EXPECT_EQ(worker.refs, std::vector<Digest>{sha256(serialize(*push_->list()).span())});
    EXPECT_GE(worker.syncs_count, 1u);
  }
  void expect_no_errors() const {
    for (auto const& error : errors_) EXPECT_FALSE(error.has_value()) << error->message;
    EXPECT_FALSE(push_->source_error().has_value());
  }
  void expect_changed(std::optional<Error> const& error) const {
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->kind, ErrorKind::conflict);
    EXPECT_TRUE(error->message.starts_with(path().string() + " changed while it was being stored"))
        << error->message;
    EXPECT_EQ(push_->source_error(), error);
  }
  std::uint64_t durable_bytes() const {
    return std::accumulate(durable_.begin(), durable_.end(), std::uint64_t{0});
  }

  TestFolder folder_;
  TestLoop loop_;
  HttpClient http_{loop_.executor()};
  Offload offload_{2};
  Semaphore buffers_{loop_.executor(), limits::job_buffers_bytes_max};
  Semaphore encodings_{loop_.executor(), limits::encoding_bytes_max};
  ChunkSender sender_{offload_, encodings_, {.compression = Switch::off}};
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::vector<ChunkSlice> slices_;
  std::vector<Digest> digests_;
  std::optional<ChunkSource> source_;
  std::unique_ptr<ShardPush> push_;
  std::vector<Endpoint> endpoints_;           // by copy
  std::vector<std::optional<Error>> errors_;  // likewise
  std::function<void()> on_retry_;
  std::vector<std::pair<std::size_t, RetryNotice>> retries_;
  std::vector<std::uint64_t> durable_;
  std::vector<Digest> lists_known_;
};

TEST_F(PushTest, SendsThePrimaryEachChunkOnceAndLetsTheReplicaPull) {
  write_chunks(5, limits::chunk_bytes_max);  // three windows
  start_workers(2);
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(primary().sent.size(), 5u);
  EXPECT_EQ(set_of(primary().sent), set_of(digests_));
  EXPECT_TRUE(replica().sent.empty());
  EXPECT_EQ(set_of(replica().pulled), set_of(digests_));
  expect_whole(primary());
  expect_whole(replica());
  EXPECT_TRUE(retries_.empty());
  EXPECT_EQ(durable_bytes(), 5 * limits::chunk_bytes_max) << "counted once, not for each copy";
}

TEST_F(PushTest, ReadsOneWindowAheadWhereThereIsRoom) {
  write_chunks(5, limits::chunk_bytes_max);
  start_workers(1);
  std::uint64_t least_room = limits::job_buffers_bytes_max;
  auto const look = [&] { least_room = std::min(least_room, buffers_.available()); };
  primary().on_put = look;
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(least_room, limits::job_buffers_bytes_max - 3 * limits::chunk_bytes_max)
      << "two chunks are sent, the third is read";
  expect_whole(primary());
}

TEST_F(PushTest, ReadsNothingAheadWhereOthersNeedTheRoom) {
  write_chunks(5, limits::chunk_bytes_max);
  start_workers(1);
  prepare_push();
  run([this]() -> Awaitable<void> {
    auto const others =
        co_await buffers_.acquire(limits::job_buffers_bytes_max - limits::window_bytes_max);
    co_await run_copy(0);
  });
  expect_no_errors();
  expect_whole(primary());
}

TEST_F(PushTest, CountsWhatItSentAndWhatWasThere) {
  write_chunks(4);
  start_workers(2);
  primary().chunks = {{digests_[0], "kept"}};
  prepare_push();
  run();
  EXPECT_EQ(sender_.totals().sent_bytes, 3 * (small + limits::chunk_header_bytes));
  EXPECT_EQ(sender_.totals().present_bytes, small);
}

TEST_F(PushTest, MakesTheShardsListOfWhatItRead) {
  write_chunks(3);
  slices_.erase(slices_.begin());
  start_workers(1);
  prepare_push();
  run();
  ShardList const expected{.file_offset = small,
                           .chunks = {{digests_[1], small}, {digests_[2], small}}};
  EXPECT_EQ(push_->list(), expected);
  EXPECT_EQ(lists_known_, std::vector<Digest>{sha256(serialize(expected).span())});
}

TEST_F(PushTest, SendsOnlyWhatAWorkerLacks) {
  write_chunks(4);
  start_workers(2);
  primary().chunks = {{digests_[0], "kept"}, {digests_[2], "kept"}};
  replica().chunks = {{digests_[1], "kept"}};
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(set_of(primary().sent), (Digests{digests_[1], digests_[3]}));
  EXPECT_EQ(set_of(replica().pulled), (Digests{digests_[0], digests_[2], digests_[3]}));
}

TEST_F(PushTest, SendsOnceWhatRepeatsAndAsksForDurabilityOnTheWay) {
  auto const count = limits::sync_bytes_max / limits::chunk_bytes_max + 1;
  write_chunks(1, limits::chunk_bytes_max);
  std::filesystem::resize_file(path(), 0);
  std::filesystem::resize_file(path(), count * limits::chunk_bytes_max);  // zeros
  slices_.clear();
  for (std::uint64_t index = 0; index < count; ++index) {
    slices_.push_back(
        {.offset = index * limits::chunk_bytes_max, .bytes = limits::chunk_bytes_max});
  }
  start_workers(1);
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(primary().sent.size(), 1u);
  EXPECT_EQ(push_->list()->chunks.size(), count);
  EXPECT_EQ(durable_, (std::vector{limits::sync_bytes_max, limits::chunk_bytes_max}));
  EXPECT_EQ(primary().syncs_count, 2u);
}

TEST_F(PushTest, BringsAnEmptyShardToItsCopies) {
  folder_.write("model.safetensors", "header only");
  open();
  start_workers(2);
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(push_->list(), ShardList{});
  expect_whole(primary());
  expect_whole(replica());
  EXPECT_EQ(lists_known_.size(), 1u);
  EXPECT_TRUE(durable_.empty());
}

TEST_F(PushTest, SendsTheReplicaWhileThePrimaryRefusesConnections) {
  write_chunks(3);
  start_workers(2);
  tcp::acceptor closed(loop_.context());
  prepare_push_to({client_at(closed), replica().client()});
  run([this]() -> Awaitable<void> {
    TaskGroup waiting(loop_.executor());
    waiting.spawn("primary", run_copy(0));
    co_await run_copy(1);
    waiting.cancel();  // its first retry is a second away
    co_await waiting.wait();
  });
  EXPECT_EQ(set_of(replica().sent), set_of(digests_));
  EXPECT_FALSE(errors_[1].has_value());
  expect_whole(replica());
  ASSERT_EQ(retries_.size(), 1u);
  auto const& [copy, notice] = retries_.front();
  EXPECT_EQ(copy, 0u);
  EXPECT_EQ(notice.retry, 1u);
  EXPECT_EQ(notice.delay, std::chrono::seconds(1));
  EXPECT_EQ(notice.error.kind, ErrorKind::unavailable);
  EXPECT_TRUE(notice.error.message.ends_with("): connection refused")) << notice.error.message;
  EXPECT_EQ(errors_[0]->kind, ErrorKind::cancelled);
}

TEST_F(PushTest, TriesAgainWhereTheWorkerIsByThen) {
  write_chunks(3);
  start_workers(1);
  tcp::acceptor closed(loop_.context());
  prepare_push_to({client_at(closed)});
  on_retry_ = [this] { endpoints_[0] = primary().client().address().endpoint; };
  run();
  expect_no_errors();
  EXPECT_EQ(retries_.size(), 1u);
  expect_whole(primary());
}

TEST_F(PushTest, LetsThePrimaryThatComesBackPullFromTheReplica) {
  write_chunks(3);
  start_workers(2);
  primary().is_busy = [this] { return replica().refs.empty(); };
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_GE(retries_.size(), 1u);
  EXPECT_EQ(set_of(replica().sent), set_of(digests_));
  EXPECT_EQ(set_of(primary().pulled), set_of(digests_));
  EXPECT_TRUE(primary().sent.empty());
  expect_whole(primary());
}

TEST_F(PushTest, SendsTheReplicaWhereThePrimaryIsFull) {
  write_chunks(3);
  start_workers(2);
  primary().put_error = fail(ErrorKind::exhausted, "disk full");
  prepare_push();
  run();
  EXPECT_TRUE(retries_.empty()) << "no retry frees a disk";
  EXPECT_EQ(errors_[0]->kind, ErrorKind::exhausted);
  EXPECT_TRUE(primary().refs.empty());
  EXPECT_FALSE(errors_[1].has_value());
  expect_whole(replica());
  EXPECT_FALSE(push_->source_error().has_value());
}

TEST_F(PushTest, SendsItselfTheChunkThatAPullCannotGet) {
  write_chunks(5);
  start_workers(2);
  replica().unpullable = {digests_[3]};
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(replica().sent, std::vector<Digest>{digests_[3]});
  EXPECT_EQ(primary().sent.size(), 5u);
  expect_whole(replica());
}

TEST_F(PushTest, SendsAgainWhatAWorkerLacksWhenItCommits) {
  write_chunks(5);
  start_workers(1);
  primary().lost_at_commit = {digests_[1], digests_[4]};
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(primary().sent.size(), 7u);
  EXPECT_EQ(Digests(primary().sent.begin() + 5, primary().sent.end()),
            (Digests{digests_[1], digests_[4]}));
  expect_whole(primary());
}

TEST_F(PushTest, SendsAReplicaItselfWhatItLacksWhenItCommits) {
  write_chunks(5);
  start_workers(2);
  replica().lost_at_commit = {digests_[2]};
  prepare_push();
  run();
  expect_no_errors();
  EXPECT_EQ(replica().sent, std::vector<Digest>{digests_[2]});
  expect_whole(replica());
}

TEST_F(PushTest, GivesUpAWorkerThatLosesWhatItAcknowledged) {
  write_chunks(2);
  start_workers(1);
  primary().lost_at_commit = {digests_[1]};
  primary().loses_again = true;
  prepare_push();
  run();
  ASSERT_TRUE(errors_[0].has_value());
  EXPECT_EQ(errors_[0]->kind, ErrorKind::internal);
  EXPECT_TRUE(
      errors_[0]->message.ends_with("): lost 1 chunks that it had acknowledged; check its disk"))
      << errors_[0]->message;
  EXPECT_TRUE(primary().refs.empty());
}

TEST_F(PushTest, NoticesThatTheFileShrank) {
  write_chunks(3);
  std::filesystem::resize_file(path(), 2 * small + 1);
  start_workers(2);
  prepare_push();
  run();
  expect_changed(errors_[0]);
  expect_changed(errors_[1]);
  EXPECT_TRUE(retries_.empty());
  EXPECT_FALSE(push_->list().has_value());
  EXPECT_TRUE(primary().refs.empty() && replica().refs.empty());
}

TEST_F(PushTest, NoticesThatAChunkReadAgainIsAnother) {
  write_chunks(3);
  start_workers(2);
  replica().unpullable = {digests_[1]};
  replica().on_pull = [this] {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(small + 5) << "changed";
  };
  prepare_push();
  run();
  expect_changed(errors_[1]);
  EXPECT_TRUE(replica().refs.empty());
}

TEST_F(PushTest, ReadsTheRestWhenNoCopyCouldBeSent) {
  write_chunks(5, limits::chunk_bytes_max);
  start_workers(2);
  for (auto const& worker : workers_) worker->put_error = fail(ErrorKind::exhausted, "disk full");
  prepare_push();
  run([this]() -> Awaitable<void> {
    co_await run_copy(0);
    co_await run_copy(1);
    EXPECT_TRUE(errors_[0].has_value() && errors_[1].has_value());
    EXPECT_FALSE(push_->list().has_value());
    auto const completed = co_await push_->complete_list();
    EXPECT_TRUE(completed.has_value());
    auto const again = co_await push_->complete_list();
    EXPECT_TRUE(again.has_value());
  });
  ASSERT_TRUE(push_->list().has_value());
  EXPECT_EQ(push_->list()->chunks.size(), 5u);
  EXPECT_EQ(lists_known_.size(), 1u);
}

}  // namespace
}  // namespace grove
