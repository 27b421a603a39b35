#include "worker/long_call.h"

#include <string>

#include <gtest/gtest.h>

#include "net/http_probe.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {
namespace {

// A server whose only call is one long call.
class LongServer {
 public:
  LongServer(TestLoop& loop, LongCallStyle style, LongWork work)
      : server_(loop.executor(), routes(style, std::move(work)), HttpServerOptions{}),
        probe_(loop.executor(), port()) {}

  Awaitable<void> ask() {
    co_await probe_.connect();
    auto const request = get("/long");
    std::ignore = co_await probe_.send(request);
  }
  HttpProbe& probe() { return probe_; }
  Awaitable<void> stop() {
    probe_.close();
    co_await server_.stop(std::chrono::seconds(1));
  }

 private:
  static HttpRouter routes(LongCallStyle style, LongWork work) {
    HttpRouter router;
    router.add(http::verb::get, "/long",
               [style, work](HttpRequest&, HttpResponder& responder) -> Awaitable<Result<void>> {
                 co_return co_await answer_long_call(responder, style, work);
               });
    return router;
  }
  std::uint16_t port() {
    EXPECT_TRUE(server_.start().has_value());
    return server_.port();
  }

  HttpServer server_;
  HttpProbe probe_;
};

TEST(LongCall, SendsHeartbeatsWhileItWorksAndThenItsResult) {
  TestLoop loop;
  Signal release(loop.executor());
  LongServer server(loop, json_document, [&](LongCall&) -> Awaitable<Result<std::string>> {
    std::ignore = co_await release.wait();
    co_return R"({"done":true})";
  });
  loop.run([&]() -> Awaitable<void> {
    co_await server.ask();
    auto const head = co_await server.probe().read_until("\r\n\r\n");
    EXPECT_EQ(status_of(head), 200u);
    auto const beat = co_await server.probe().read_until("1\r\n \r\n");
    EXPECT_EQ(beat, "1\r\n \r\n");
    release.notify_all();
    auto const rest = co_await server.probe().read_until("0\r\n\r\n");
    EXPECT_NE(rest.find(R"({"done":true})"), std::string::npos) << rest;
    co_await server.stop();
  });
}

TEST(LongCall, SendsLinesAsTheyCome) {
  TestLoop loop;
  Signal release(loop.executor());
  LongServer server(loop, json_lines, [&](LongCall& call) -> Awaitable<Result<std::string>> {
    call.emit("first\n");
    std::ignore = co_await release.wait();
    call.emit("second\n");
    co_return std::string{};
  });
  loop.run([&]() -> Awaitable<void> {
    co_await server.ask();
    auto const first = co_await server.probe().read_until("first\n");
    EXPECT_NE(first.find("application/x-ndjson"), std::string::npos) << first;
    release.notify_all();
    auto const second = co_await server.probe().read_until("0\r\n\r\n");
    EXPECT_NE(second.find("second\n"), std::string::npos) << second;
    co_await server.stop();
  });
}

TEST(LongCall, EndsWithAnErrorObjectWhenItFails) {
  TestLoop loop;
  LongServer server(loop, json_document, [](LongCall&) -> Awaitable<Result<std::string>> {
    co_return fail(ErrorKind::exhausted, "disk full");
  });
  loop.run([&]() -> Awaitable<void> {
    co_await server.ask();
    auto const answer = co_await server.probe().read_until("0\r\n\r\n");
    EXPECT_EQ(status_of(answer), 200u);
    EXPECT_NE(answer.find(R"({"error":{"detail":"disk full","kind":"exhausted"}})"),
              std::string::npos)
        << answer;
    co_await server.stop();
  });
}

TEST(LongCall, CancelsItsWorkWhenTheClientGoesAway) {
  TestLoop loop;
  Signal begun(loop.executor());
  Signal never(loop.executor());
  Signal ended(loop.executor());
  bool was_wanted = true;
  LongServer server(loop, json_document, [&](LongCall& call) -> Awaitable<Result<std::string>> {
    begun.notify_all();
    std::ignore = co_await never.wait();
    was_wanted = call.is_wanted();
    ended.notify_all();
    co_return std::string{};
  });
  loop.run([&]() -> Awaitable<void> {
    co_await server.ask();
    std::ignore = co_await begun.wait();
    server.probe().close();
    std::ignore = co_await ended.wait();
    EXPECT_FALSE(was_wanted);
    co_await server.stop();
  });
}

}  // namespace
}  // namespace grove
