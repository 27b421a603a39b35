#include "transfer/pull.h"

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include <gtest/gtest.h>

#include "format/chunk.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {
namespace {

std::string text_of(std::span<std::byte const> bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

// A worker that serves the encoded chunks it is given under whatever names, and counts.
class FakeSource {
 public:
  explicit FakeSource(TestLoop& loop)
      : server_(loop.executor(), routes(), HttpServerOptions{}), http_(loop.executor()) {
    EXPECT_TRUE(server_.start().has_value());
  }

  Digest add(std::string const& raw) { return add_as(sha256(raw), raw); }
  Digest add_as(Digest name, std::string const& raw) {
    auto const encoded = encode_chunk(std::as_bytes(std::span(raw)), Codec::raw);
    chunks_[name.hex()] = text_of(encoded.span());
    return name;
  }
  WorkerClient client() {
    Endpoint const endpoint{.host = "127.0.0.1", .port = server_.port(), .name = "pi4-1"};
    return WorkerClient(http_, {.rank = Rank{1}, .id = {}, .endpoint = endpoint}, "job");
  }
  Awaitable<void> stop() {
    http_.close_idle();
    co_await server_.stop(std::chrono::seconds(1));
  }

  std::size_t at_once = 0;
  std::size_t at_once_max = 0;

 private:
  HttpRouter routes() {
    HttpRouter router;
    router.add(http::verb::get, "/chunks/{}",
               [this](HttpRequest& request, HttpResponder& responder) -> Awaitable<Result<void>> {
                 at_once_max = std::max(at_once_max, ++at_once);
                 // So that requests overlap where they may.
                 std::ignore = co_await sleep_for(std::chrono::milliseconds(1));
                 --at_once;
                 auto const found = chunks_.find(request.args().at(0));
                 if (found == chunks_.end()) co_return fail(ErrorKind::not_found, "not here");
                 co_return co_await responder.send_text(200, "application/octet-stream",
                                                        found->second);
               });
    return router;
  }

  std::map<std::string, std::string> chunks_;
  HttpServer server_;
  HttpClient http_;
};

// A sink that remembers the raw bytes it was handed.
class Received {
 public:
  ChunkSink sink() {
    return [this](Digest const& digest, std::span<std::byte const>,
                  std::span<std::byte const> raw) -> Result<void> {
      std::lock_guard const lock(mutex_);
      chunks_[digest] = text_of(raw);
      return ok();
    };
  }
  std::map<Digest, std::string> const& chunks() const { return chunks_; }

 private:
  std::mutex mutex_;
  std::map<Digest, std::string> chunks_;
};

std::optional<ErrorKind> kind_of(PullOutcome const& outcome) {
  if (!outcome.error) return std::nullopt;
  return outcome.error->kind;
}

TEST(Pull, HandsOnEachProvenChunkAndSaysWhatFailed) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  auto const good = source.add("good");
  auto const lying = source.add_as(sha256("promised"), "something else");
  auto const absent = sha256("absent");
  std::vector<Digest> const asked{lying, good, absent};
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    std::size_t observed = 0;
    auto const outcomes = co_await pull_chunks(client, asked, received.sink(), offload, {},
                                               [&](PullOutcome const&) { ++observed; });
    EXPECT_EQ(observed, 3u);
    EXPECT_EQ(kind_of(outcomes[0]), ErrorKind::corrupt);
    EXPECT_NE(outcomes[0].error->message.find("pi4-1 (127.0.0.1:"), std::string::npos);
    EXPECT_EQ(kind_of(outcomes[1]), std::nullopt);
    EXPECT_EQ(kind_of(outcomes[2]), ErrorKind::not_found);
    co_await source.stop();
  });
  EXPECT_EQ(received.chunks(), (std::map<Digest, std::string>{{good, "good"}}));
}

TEST(Pull, NeverHasMoreInFlightThanItMay) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  std::vector<Digest> asked;
  for (int index = 0; index < 30; ++index) asked.push_back(source.add(std::to_string(index)));
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    PullOptions options;
    options.in_flight = 3;
    co_await pull_chunks(client, asked, received.sink(), offload, options);
    EXPECT_LE(source.at_once_max, 3u);
    source.at_once_max = 0;
    Semaphore one_buffer(loop.executor(), limits::encoded_chunk_bytes_max);
    options.buffers = &one_buffer;
    co_await pull_chunks(client, asked, received.sink(), offload, options);
    EXPECT_EQ(source.at_once_max, 1u);
    EXPECT_EQ(one_buffer.available(), limits::encoded_chunk_bytes_max);
    co_await source.stop();
  });
  EXPECT_EQ(received.chunks().size(), asked.size());
}

TEST(Pull, PassesOnWhatItsSinkSays) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  std::vector<Digest> const asked{source.add("a")};
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    ChunkSink full = [](Digest const&, std::span<std::byte const>, std::span<std::byte const>) {
      return Result<void>(fail(ErrorKind::exhausted, "disk full"));
    };
    auto const outcomes = co_await pull_chunks(client, asked, full, offload, {});
    EXPECT_EQ(outcomes.front().error, (Error{ErrorKind::exhausted, "disk full"}));
    co_await source.stop();
  });
}

TEST(Pull, LeavesTheProofToASinkThatWantsIt) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  std::vector<Digest> const asked{source.add_as(sha256("promised"), "something else")};
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    PullOptions options;
    options.proof = Proof::by_sink;
    bool was_asked = false;
    ChunkSink prove = [&](Digest const& digest, std::span<std::byte const> encoded,
                          std::span<std::byte const> raw) -> Result<void> {
      was_asked = true;
      EXPECT_TRUE(raw.empty());
      Buffer scratch;
      TRY(decode_chunk(encoded, digest, scratch));
      return ok();
    };
    auto const outcomes = co_await pull_chunks(client, asked, prove, offload, options);
    EXPECT_TRUE(was_asked);
    EXPECT_EQ(kind_of(outcomes.front()), ErrorKind::corrupt);
    co_await source.stop();
  });
}

TEST(Pull, StopsAtASourceThatIsNotThereWhereTold) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  std::vector<Digest> const asked{source.add("a"), source.add("b")};
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    PullOptions options;
    options.in_flight = 1;
    options.stop_after = StopAfter::unreachable_source;
    co_await source.stop();
    auto const outcomes = co_await pull_chunks(client, asked, received.sink(), offload, options);
    EXPECT_EQ(kind_of(outcomes[0]), ErrorKind::unavailable);
    EXPECT_EQ(outcomes[1].error, outcomes[0].error);
  });
  EXPECT_TRUE(received.chunks().empty());
}

TEST(Pull, UnwindsWhenItsTaskIsCancelled) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  std::vector<Digest> asked;
  for (int index = 0; index < 30; ++index) asked.push_back(source.add(std::to_string(index)));
  std::size_t cancelled_count = 0;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    auto client = source.client();
    PullObserver stop_early = [&](PullOutcome const&) { group.cancel(); };
    auto const pull = [&]() -> Awaitable<void> {
      auto const outcomes =
          co_await pull_chunks(client, asked, received.sink(), offload, {}, stop_early);
      for (auto const& outcome : outcomes) {
        if (kind_of(outcome) == ErrorKind::cancelled) ++cancelled_count;
      }
    };
    group.spawn("pull", pull());
    co_await group.wait();
    co_await source.stop();
  });
  EXPECT_GT(cancelled_count, 0u);
  EXPECT_LT(received.chunks().size(), asked.size());
}

}  // namespace
}  // namespace grove
