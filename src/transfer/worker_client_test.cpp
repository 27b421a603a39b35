#include "transfer/worker_client.h"

#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {
namespace {

constexpr std::string_view right_id = "0123456789abcdef0123456789abcdef";

// Something that answers every call with the same status and text.
class Answering {
 public:
  Answering(TestLoop& loop, unsigned status, std::string text)
      : server_(loop.executor(), routes(status, std::move(text)), HttpServerOptions{}),
        http_(loop.executor()) {
    EXPECT_TRUE(server_.start().has_value());
  }

  WorkerClient client(std::string id = {}) {
    Endpoint const endpoint{.host = "127.0.0.1", .port = server_.port(), .name = "pi4-1"};
    return WorkerClient(http_, {.rank = Rank{1}, .id = std::move(id), .endpoint = endpoint}, "");
  }
  Awaitable<void> stop() {
    http_.close_idle();
    co_await server_.stop(std::chrono::seconds(1));
  }

 private:
  static HttpRouter routes(unsigned status, std::string text) {
    HttpRouter router;
    auto const answer = [status, text](HttpRequest& request,
                                       HttpResponder& responder) -> Awaitable<Result<void>> {
      std::ignore = co_await request.read_body(limits::json_body_bytes_max);
      co_return co_await responder.send_text(status, "application/json", text);
    };
    for (auto const method : {http::verb::get, http::verb::put, http::verb::post}) {
      router.add(method, "/{}", answer);
      router.add(method, "/{}/{}", answer);
      router.add(method, "/{}/{}/{}/{}", answer);
    }
    return router;
  }

  HttpServer server_;
  HttpClient http_;
};

std::string health_of(Rank rank, std::string_view id) {
  WorkerHealth health;
  health.rank = rank;
  health.id = id;
  return serialize_health(health);
}

template <typename Value>
void expect_error(Result<Value> const& result, ErrorKind kind, std::string_view part) {
  EXPECT_FALSE(result.has_value());
  if (result) return;
  EXPECT_EQ(result.error().kind, kind) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("pi4-1 (127.0.0.1:"), std::string::npos);
}

TEST(WorkerClient, LearnsTheIdOfTheWorkerItReaches) {
  TestLoop loop;
  Answering worker(loop, 200, health_of(Rank{1}, right_id));
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    auto const health = co_await client.health();
    EXPECT_TRUE(health.has_value());
    EXPECT_EQ(client.address().id, right_id);
    co_await worker.stop();
  });
}

TEST(WorkerClient, IsNotContentWithAnotherRank) {
  TestLoop loop;
  Answering worker(loop, 200, health_of(Rank{3}, right_id));
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    auto const health = co_await client.health();
    expect_error(health, ErrorKind::unavailable,
                 "answers as rank 3, not 1; check the addresses in config.yaml");
    EXPECT_TRUE(client.address().id.empty());
    co_await worker.stop();
  });
}

TEST(WorkerClient, IsNotContentWithAnotherId) {
  TestLoop loop;
  Answering worker(loop, 200, health_of(Rank{1}, right_id));
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client(std::string(32, 'f'));
    auto const health = co_await client.health();
    expect_error(health, ErrorKind::unavailable, "answers as another worker");
    co_await worker.stop();
  });
}

TEST(WorkerClient, PassesOnWhatAWorkerSays) {
  TestLoop loop;
  Answering worker(loop, 507, R"({"detail":"disk full","kind":"exhausted"})");
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    std::string const body = "x";
    auto const put = co_await client.put_chunk(sha256(body), bytes_of(body));
    expect_error(put, ErrorKind::exhausted, "disk full");
    auto const health = co_await client.health();
    expect_error(health, ErrorKind::exhausted, "disk full");
    std::vector<WantedChunk> const asked{{sha256("a")}, {sha256("b")}};
    WorkerAddress const from{.rank = Rank{2}, .id = {}, .endpoint = {}};
    auto const outcomes = co_await client.pull(from, asked);
    EXPECT_EQ(outcomes.size(), 2u);
    EXPECT_EQ(outcomes.back().error->kind, ErrorKind::exhausted);
    co_await worker.stop();
  });
}

TEST(WorkerClient, NamesTheBaseOfADelta) {
  TestLoop loop;
  std::vector<std::string> seen;
  HttpRouter router;
  for (auto const method : {http::verb::get, http::verb::put}) {
    router.add(method, "/chunks/{}",
               [&](HttpRequest& request, HttpResponder& responder) -> Awaitable<Result<void>> {
                 seen.push_back(request.args().at(0));
                 for (auto const* name : {"base", "job", "worker"}) {
                   seen.push_back(request.param(name).value_or("none"));
                 }
                 co_return co_await responder.send_text(
                     409, "application/json", R"({"detail":"go whole","kind":"conflict"})");
               });
  }
  HttpServer server(loop.executor(), std::move(router), HttpServerOptions{});
  ASSERT_TRUE(server.start());
  HttpClient http(loop.executor());
  loop.run([&]() -> Awaitable<void> {
    Endpoint const endpoint{.host = "127.0.0.1", .port = server.port(), .name = "pi4-1"};
    WorkerAddress const address{.rank = Rank{1}, .id = std::string(right_id), .endpoint = endpoint};
    WorkerClient client(http, address, "job 1");
    auto const put = co_await client.put_delta(sha256("a"), sha256("b"), {});
    expect_error(put, ErrorKind::conflict, "go whole");
    auto const got = co_await client.get_delta(sha256("c"), sha256("d"));
    expect_error(got, ErrorKind::conflict, "go whole");
    http.close_idle();
    co_await server.stop(std::chrono::seconds(1));
  });
  std::vector<std::string> const expected{
      sha256("a").hex(), sha256("b").hex(), "job 1", std::string(right_id),
      sha256("c").hex(), sha256("d").hex(), "none",  "none"};
  EXPECT_EQ(seen, expected);
}

TEST(WorkerClient, DoesNotTakeAStrangerForAWorker) {
  TestLoop loop;
  Answering stranger(loop, 200, "<html>hello</html>");
  loop.run([&]() -> Awaitable<void> {
    auto client = stranger.client();
    auto const health = co_await client.health();
    expect_error(health, ErrorKind::invalid, "not JSON");
    auto const synced = co_await client.sync();
    expect_error(synced, ErrorKind::internal, "not confirmed");
    auto const list = co_await client.get_list(sha256("x"));
    expect_error(list, ErrorKind::corrupt, "sent other bytes");
    auto const inventory = co_await client.inventory({});
    expect_error(inventory, ErrorKind::invalid, "not JSON");
    co_await stranger.stop();
  });
}

TEST(WorkerClient, NoticesThatALongCallFailedAfterItsTwoHundred) {
  TestLoop loop;
  Answering worker(loop, 200,
                   "   {\"error\":{\"detail\":\"disk broken\",\"kind\":\"internal\"}}\n");
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    auto const synced = co_await client.sync();
    expect_error(synced, ErrorKind::internal, "disk broken");
    std::vector<WantedChunk> const asked{{sha256("a")}};
    WorkerAddress const from{.rank = Rank{2}, .id = {}, .endpoint = {}};
    auto const outcomes = co_await client.pull(from, asked);
    EXPECT_EQ(outcomes.front().error->kind, ErrorKind::internal);
    co_await worker.stop();
  });
}

TEST(WorkerClient, GivesEveryChunkOfAPullAnOutcome) {
  TestLoop loop;
  auto const told = serialize_outcome({.chunk = sha256("a"), .error = {}});
  Answering worker(loop, 200, "\n\n" + told + "\n\n");
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    std::vector<WantedChunk> const asked{{sha256("b")}, {sha256("a")}};
    WorkerAddress const from{.rank = Rank{2}, .id = {}, .endpoint = {}};
    auto const outcomes = co_await client.pull(from, asked);
    EXPECT_EQ(outcomes.size(), 2u);
    EXPECT_EQ(outcomes[0].error->kind, ErrorKind::internal) << "no line came for it";
    EXPECT_FALSE(outcomes[1].error.has_value());
    co_await worker.stop();
  });
}

TEST(WorkerClient, DoesNotTurnPagesForEver) {
  TestLoop loop;
  Answering worker(loop, 200, R"({"refs":[],"tombstones":[],"next":"again"})");
  loop.run([&]() -> Awaitable<void> {
    auto client = worker.client();
    auto const inventory = co_await client.inventory({});
    expect_error(inventory, ErrorKind::internal, "does not end");
    co_await worker.stop();
  });
}

}  // namespace
}  // namespace grove
