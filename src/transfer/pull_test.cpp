#include "transfer/pull.h"

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "format/chunk.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {
namespace {

// A worker that serves the encoded chunks it is given under whatever names, and counts.
class FakeSource {
 public:
  explicit FakeSource(TestLoop& loop)
      : server_(loop.executor(), routes(), HttpServerOptions{}), http_(loop.executor()) {
    EXPECT_TRUE(server_.start().has_value());
  }

  Digest add(std::string const& raw) { return add_as(sha256(raw), raw); }
  Digest add_as(Digest name, std::string const& raw) {
    auto const encoded = encode_chunk(bytes_of(raw), Codec::raw);
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

  // Answers those who ask for a delta; else there is none.
  std::function<Result<std::string>()> give_delta = [] {
    return Result<std::string>(fail(ErrorKind::conflict, "no such base"));
  };
  std::size_t answers_to_spoil = 0;
  std::size_t deltas_asked_count = 0;
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
                 if (request.param("base")) {
                   ++deltas_asked_count;
                   CO_TRY(auto delta, give_delta());
                   co_return co_await responder.send_text(200, "application/octet-stream",
                                                          std::move(delta));
                 }
                 auto const found = chunks_.find(request.args().at(0));
                 if (found == chunks_.end()) co_return fail(ErrorKind::not_found, "not here");
                 auto bytes = found->second;
                 if (answers_to_spoil > 0) {
                   --answers_to_spoil;
                   bytes.back() = static_cast<char>(bytes.back() ^ 1);
                 }
                 co_return co_await responder.send_text(200, "application/octet-stream",
                                                        std::move(bytes));
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
  std::vector<WantedChunk> const asked{{lying}, {good}, {absent}};
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
  std::vector<WantedChunk> asked;
  for (int index = 0; index < 30; ++index) asked.push_back({source.add(std::to_string(index))});
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
  std::vector<WantedChunk> const asked{{source.add("a")}};
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
  std::vector<WantedChunk> const asked{{source.add_as(sha256("promised"), "something else")}};
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

TEST(Pull, AsksOnceMoreForWhatTheWireHasSpoiled) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  auto const chunk = source.add("good");
  std::vector<WantedChunk> const asked{{chunk}};
  loop.run([&]() -> Awaitable<void> {
    auto client = source.client();
    source.answers_to_spoil = 1;
    auto const second = co_await pull_chunks(client, asked, received.sink(), offload, {});
    EXPECT_EQ(kind_of(second.front()), std::nullopt);
    source.answers_to_spoil = 2;
    auto const never = co_await pull_chunks(client, asked, received.sink(), offload, {});
    EXPECT_EQ(kind_of(never.front()), ErrorKind::corrupt);
    EXPECT_EQ(source.answers_to_spoil, 0u);
    co_await source.stop();
  });
  EXPECT_EQ(received.chunks(), (std::map<Digest, std::string>{{chunk, "good"}}));
}

TEST(Pull, StopsAtASourceThatIsNotThereWhereTold) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  std::vector<WantedChunk> const asked{{source.add("a")}, {source.add("b")}};
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

// A pull of chunks that all have a base.
struct DeltaPull {
  DeltaPull() : offload(2), source(loop), room(loop.executor(), limits::delta_room_bytes) {
    for (int index = 0; index < 8; ++index) {
      asked.push_back({source.add(std::to_string(index)), sha256("base")});
    }
    options.in_flight = 1;
    options.buffers = &room;
    options.delta_sink = [this](Digest const& digest, Digest const& base,
                                Buffer delta) -> Result<void> {
      EXPECT_EQ(base, sha256("base"));
      std::lock_guard const lock(mutex);
      TRY(take_delta());
      deltas[digest] = text_of(delta.span());
      return ok();
    };
  }

  std::vector<PullOutcome> run() {
    std::vector<PullOutcome> outcomes;
    loop.run([&]() -> Awaitable<void> {
      auto client = source.client();
      outcomes = co_await pull_chunks(client, asked, received.sink(), offload, options);
      co_await source.stop();
    });
    EXPECT_EQ(room.available(), limits::delta_room_bytes);
    return outcomes;
  }

  TestLoop loop;
  Offload offload;
  FakeSource source;
  Received received;
  Semaphore room;
  PullOptions options;
  std::vector<WantedChunk> asked;
  std::mutex mutex;
  std::function<Result<void>()> take_delta = [] { return Result<void>(ok()); };
  std::map<Digest, std::string> deltas;
};

std::size_t count_ok(std::vector<PullOutcome> const& outcomes) {
  std::size_t count = 0;
  for (auto const& outcome : outcomes) count += outcome.error ? 0 : 1;
  return count;
}

TEST(Pull, HandsDeltasToTheSinkThatRebuilds) {
  DeltaPull pull;
  pull.source.give_delta = [] { return Result<std::string>("a delta"); };
  pull.asked.back().base.reset();
  EXPECT_EQ(count_ok(pull.run()), 8u);
  EXPECT_EQ(pull.deltas.size(), 7u);
  EXPECT_EQ(pull.deltas.begin()->second, "a delta");
  EXPECT_EQ(pull.received.chunks().size(), 1u);
}

TEST(Pull, FetchesWholeWhatCannotBeADelta) {
  DeltaPull pull;
  std::size_t answers_count = 0;
  // Every kind of refusal, never three in a row.
  pull.source.give_delta = [&]() -> Result<std::string> {
    switch (answers_count++ % 3) {
      case 0:
        return fail(ErrorKind::conflict, "no such base");
      case 1:
        return fail(ErrorKind::corrupt, "damaged");
      default:
        return std::string("a delta");
    }
  };
  EXPECT_EQ(count_ok(pull.run()), 8u);
  EXPECT_EQ(pull.source.deltas_asked_count, 8u);
  EXPECT_EQ(pull.deltas.size(), 2u);
  EXPECT_EQ(pull.received.chunks().size(), 6u);
}

TEST(Pull, AsksForNoMoreDeltasAfterThreeInVain) {
  for (auto const kind : {ErrorKind::conflict, ErrorKind::corrupt}) {
    DeltaPull refused;
    refused.source.give_delta = [&] { return Result<std::string>(fail(kind, "no")); };
    EXPECT_EQ(count_ok(refused.run()), 8u);
    EXPECT_EQ(refused.source.deltas_asked_count, limits::delta_refusals_max);
    EXPECT_EQ(refused.received.chunks().size(), 8u);

    DeltaPull useless;
    useless.source.give_delta = [] { return Result<std::string>("to another base"); };
    useless.take_delta = [&] { return Result<void>(fail(kind, "no")); };
    EXPECT_EQ(count_ok(useless.run()), 8u);
    EXPECT_EQ(useless.source.deltas_asked_count, limits::delta_refusals_max);
    EXPECT_EQ(useless.received.chunks().size(), 8u);
  }
}

TEST(Pull, DoesNotTakeAFullDiskForABadDelta) {
  DeltaPull pull;
  pull.source.give_delta = [] { return Result<std::string>("a delta"); };
  pull.take_delta = [] { return Result<void>(fail(ErrorKind::exhausted, "disk full")); };
  auto const outcomes = pull.run();
  EXPECT_EQ(outcomes.front().error, (Error{ErrorKind::exhausted, "disk full"}));
  EXPECT_TRUE(pull.received.chunks().empty());
}

TEST(Pull, AsksForNoDeltaWhereNobodyCanRebuildIt) {
  DeltaPull pull;
  pull.options.delta_sink = {};
  EXPECT_EQ(count_ok(pull.run()), 8u);
  EXPECT_EQ(pull.source.deltas_asked_count, 0u);
}

TEST(Pull, HoldsNoMoreDeltasAtOnceThanThereIsRoomFor) {
  DeltaPull pull;
  pull.source.give_delta = [] { return Result<std::string>("a delta"); };
  pull.options.in_flight = 4;
  EXPECT_EQ(count_ok(pull.run()), 8u);
  EXPECT_EQ(pull.source.at_once_max, 1u);
}

TEST(Pull, UnwindsWhenItsTaskIsCancelled) {
  TestLoop loop;
  Offload offload(2);
  FakeSource source(loop);
  Received received;
  std::vector<WantedChunk> asked;
  for (int index = 0; index < 30; ++index) asked.push_back({source.add(std::to_string(index))});
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
