#include <map>
#include <string>

#include "worker/test_workers.h"

namespace grove {
namespace {

std::vector<Digest> digests_of(std::vector<std::string> const& raws) {
  std::vector<Digest> digests;
  for (auto const& raw : raws) digests.push_back(sha256(raw));
  return digests;
}

// The kinds of the outcomes; none: ok.
std::vector<std::optional<ErrorKind>> kinds_of(std::vector<PullOutcome> const& outcomes) {
  std::vector<std::optional<ErrorKind>> kinds;
  for (auto const& outcome : outcomes) {
    kinds.push_back(outcome.error ? std::optional(outcome.error->kind) : std::nullopt);
  }
  return kinds;
}

using Kinds = std::vector<std::optional<ErrorKind>>;

Awaitable<std::vector<PullOutcome>> pull_whole(WorkerClient& into, WorkerAddress from,
                                               std::vector<Digest> asked) {
  auto const wanted = wanted_whole(asked);
  co_return co_await into.pull(std::move(from), wanted);
}

TEST(WorkerPull, FetchesFromAnotherWorkerWhatIsNotHere) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto source = workers.client(rank_1);
    auto target = workers.client(rank_2);
    co_await put_chunks(source, texts("a", "b"));
    co_await put_chunks(target, texts("here"));
    auto const asked = digests_of(texts("a", "here", "b", "absent"));
    auto const from = workers.address(rank_1);
    auto const outcomes = co_await pull_whole(target, from, asked);
    EXPECT_EQ(kinds_of(outcomes), (Kinds{{}, {}, {}, ErrorKind::not_found}));
    auto const missing = co_await target.missing(asked);
    EXPECT_EQ(missing.value(), digests_of(texts("absent")));
    auto const got = co_await target.get_chunk(sha256("a"));
    EXPECT_TRUE(got.has_value());
  });
}

TEST(WorkerPull, MovesAsManyChunksAsACallMayNameInBoundedMemory) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto source = workers.client(rank_1);
    auto target = workers.client(rank_2);
    std::vector<std::string> raws;
    for (int index = 0; index < 40; ++index) {
      raws.push_back(std::to_string(index) + std::string(200'000, 'x'));
    }
    co_await put_chunks(source, raws);
    auto const asked = digests_of(raws);
    auto const from = workers.address(rank_1);
    auto const outcomes = co_await pull_whole(target, from, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds(asked.size()));
    auto const missing = co_await target.missing(asked);
    EXPECT_TRUE(missing.value().empty());
  });
}

TEST(WorkerPull, TwoWorkersPullFromEachOtherAtOnce) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    std::vector<std::string> raws_1;
    std::vector<std::string> raws_2;
    for (int index = 0; index < 20; ++index) {
      raws_1.push_back(std::to_string(index) + std::string(100'000, 'a'));
      raws_2.push_back(std::to_string(index) + std::string(100'000, 'b'));
    }
    co_await put_chunks(first, raws_1);
    co_await put_chunks(second, raws_2);
    auto const digests_1 = digests_of(raws_1);
    auto const digests_2 = digests_of(raws_2);
    int ended = 0;
    auto const pull = [&](WorkerClient& into, Rank from,
                          std::vector<Digest> const& asked) -> Awaitable<void> {
      auto const address = workers.address(from);
      auto const outcomes = co_await pull_whole(into, address, asked);
      EXPECT_EQ(kinds_of(outcomes), Kinds(asked.size()));
      ++ended;
    };
    TaskGroup group(workers.loop().executor());
    for (int round = 0; round < 3; ++round) {
      group.spawn("pull", pull(first, rank_2, digests_2));
      group.spawn("pull", pull(second, rank_1, digests_1));
    }
    co_await group.wait();
    EXPECT_EQ(ended, 6);
  });
}

TEST(WorkerPull, TakesNothingFromAWorkerWithAnotherIdOrRank) {
  TestWorkers workers(3);
  workers.run([&]() -> Awaitable<void> {
    auto source = workers.client(rank_1);
    auto target = workers.client(rank_2);
    co_await put_chunks(source, texts("a"));
    auto const asked = digests_of(texts("a"));
    auto other_id = workers.address(rank_1);
    other_id.id = std::string(32, 'f');
    auto outcomes = co_await pull_whole(target, other_id, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds{ErrorKind::conflict});
    auto other_rank = workers.address(rank_1);
    other_rank.rank = Rank{3};
    outcomes = co_await pull_whole(target, other_rank, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds{ErrorKind::conflict});
    auto const missing = co_await target.missing(asked);
    EXPECT_EQ(missing.value(), asked);
  });
}

TEST(WorkerPull, RefusesItselfStrangersAndTheNameless) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto target = workers.client(rank_2);
    auto const asked = digests_of(texts("a"));
    auto const itself = workers.address(rank_2);
    auto outcomes = co_await pull_whole(target, itself, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds{ErrorKind::invalid});
    auto stranger = workers.address(rank_1);
    stranger.rank = Rank{9};
    outcomes = co_await pull_whole(target, stranger, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds{ErrorKind::invalid});
    auto nameless = workers.address(rank_1);
    nameless.id.clear();
    outcomes = co_await pull_whole(target, nameless, asked);
    EXPECT_EQ(kinds_of(outcomes), Kinds{ErrorKind::invalid});
  });
}

TEST(WorkerPull, SaysThatTheSourceIsDown) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto const gone = workers.address(rank_1);
    co_await workers.stop(rank_1);
    auto target = workers.client(rank_2);
    auto const asked = digests_of(texts("a", "b"));
    auto const outcomes = co_await pull_whole(target, gone, asked);
    EXPECT_EQ(kinds_of(outcomes), (Kinds{ErrorKind::unavailable, ErrorKind::unavailable}));
    EXPECT_NE(outcomes.front().error->message.find("pi4-1 (127.0.0.1:"), std::string::npos);
  });
}

TEST(WorkerPull, PinsWhatItIsAskedFor) {
  TestWorkers workers(2);
  workers.grace = std::chrono::seconds(0);
  workers.run([&]() -> Awaitable<void> {
    auto source = workers.client(rank_1);
    auto target = workers.client(rank_2, "job");
    co_await put_chunks(source, texts("a"));
    auto const asked = digests_of(texts("a"));
    auto const from = workers.address(rank_1);
    co_await pull_whole(target, from, asked);
    auto const synced = co_await target.sync();
    EXPECT_TRUE(synced.has_value());
    co_await workers.ask(rank_2, http::verb::post, "/gc");
    auto const missing = co_await target.missing(asked);
    EXPECT_TRUE(missing.value().empty());
  });
}

// A source that answers /health as a worker does and then hangs on chunks.
HttpRouter hanging_source(std::string health, Signal& asked, Signal& release) {
  HttpRouter router;
  router.add(http::verb::get, "/health",
             [health](HttpRequest&, HttpResponder& responder) -> Awaitable<Result<void>> {
               co_return co_await responder.send_text(200, "application/json", health);
             });
  router.add(http::verb::get, "/chunks/{}",
             [&](HttpRequest&, HttpResponder&) -> Awaitable<Result<void>> {
               asked.notify_all();
               std::ignore = co_await release.wait();  // until the test ends
               co_return fail(ErrorKind::unavailable, "the source is going");
             });
  return router;
}

TEST(WorkerPull, EndsWhenItsClientGoesAwayOrTheWorkerStops) {
  TestWorkers workers(2);
  Signal asked(workers.loop().executor());
  Signal release(workers.loop().executor());
  workers.run([&]() -> Awaitable<void> {
    auto pretended = workers.address(rank_1);
    WorkerHealth health;
    health.rank = rank_1;
    health.id = pretended.id;
    HttpServer source(workers.loop().executor(),
                      hanging_source(serialize_health(health), asked, release),
                      HttpServerOptions{});
    EXPECT_TRUE(source.start().has_value());
    pretended.endpoint.port = source.port();

    auto const digests = digests_of(texts("a"));
    auto const body = serialize_pull(pretended, wanted_whole(digests));
    HttpProbe probe(workers.loop().executor(), workers.address(rank_2).endpoint.port);
    co_await probe.connect();
    co_await probe.send(
        fmt::format("POST /pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                    body.size(), body));
    std::ignore = co_await asked.wait();  // the pull is under way
    probe.close();
    co_await workers.stop(rank_2);  // would wait for a pull that does not end
    release.notify_all();
    co_await source.stop(std::chrono::seconds(1));
  });
}

}  // namespace
}  // namespace grove
