// Answers as they reach the client: streamed, failed, cut, and what a stop does to them.
#include "net/http_responder.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "net/http_probe.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

class HttpResponderTest : public testing::Test {
 protected:
  HttpResponderTest() : next_(loop_.executor()) {
    add("/lines", &HttpResponderTest::lines);
    add("/forever", &HttpResponderTest::forever);
    add("/sized", &HttpResponderTest::sized);
    add("/fails", &HttpResponderTest::fails);
    add("/breaks", &HttpResponderTest::breaks);
    add("/silent", &HttpResponderTest::silent);
    add("/nothing", &HttpResponderTest::nothing);
    add("/waits", &HttpResponderTest::waits);
  }

  using Handler = Awaitable<Result<void>> (HttpResponderTest::*)(HttpResponder&);
  void add(std::string path, Handler handler) {
    router_.add(http::verb::get, std::move(path),
                [this, handler](HttpRequest&, HttpResponder& responder) {
                  return (this->*handler)(responder);
                });
  }

  void go_on() {
    may_go_on_ = true;
    next_.notify_all();
  }

  // The second line comes once the test says so.
  Awaitable<Result<void>> lines(HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain", std::nullopt, {}));
    CO_TRY(co_await responder.write_text("one\n"));
    while (!may_go_on_) std::ignore = co_await next_.wait();
    CO_TRY(co_await responder.write_text(""));
    CO_TRY(co_await responder.write_text("two\n"));
    co_return co_await responder.finish();
  }
  Awaitable<Result<void>> forever(HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain", std::nullopt, {}));
    for (;;) {
      auto written = co_await responder.write_text(std::string(100'000, 'x'));
      if (!written) failure_ = written.error();
      CO_TRY(std::move(written));
    }
  }
  Awaitable<Result<void>> sized(HttpResponder& responder) {
    HttpResponder::Headers headers{{"Content-Range", "bytes 0-5/10"}};
    CO_TRY(co_await responder.start(206, "application/octet-stream", 6, std::move(headers)));
    CO_TRY(co_await responder.write_text("abc"));
    CO_TRY(co_await responder.write_text("def"));
    co_return co_await responder.finish();
  }
  Awaitable<Result<void>> fails(HttpResponder&) {
    co_return fail(ErrorKind::exhausted, "the disk is \"full\"\xff");
  }
  Awaitable<Result<void>> breaks(HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain", std::nullopt, {}));
    CO_TRY(co_await responder.write_text("half"));
    co_return fail(ErrorKind::corrupt, "the rest is gone");
  }
  Awaitable<Result<void>> silent(HttpResponder&) { co_return ok(); }
  Awaitable<Result<void>> nothing(HttpResponder& responder) { return responder.send(204, "", {}); }
  Awaitable<Result<void>> waits(HttpResponder& responder) {
    ++waiting_count_;
    bool const slept = co_await sleep_for(wait_);
    if (!slept) co_return fail(ErrorKind::cancelled, "stopping");
    co_return co_await responder.send_text(200, "text/plain", "waited");
  }

  void run(std::function<Awaitable<void>(HttpProbe&)> body) {
    server_.emplace(loop_.executor(), router_, options_);
    ASSERT_TRUE(server_->start());
    HttpProbe probe(loop_.executor(), server_->port());
    loop_.run([&]() -> Awaitable<void> {
      co_await probe.connect();
      co_await body(probe);
      probe.close();
      co_await server_->stop(10s);
    });
  }

  TestLoop loop_;
  Signal next_;
  HttpRouter router_;
  HttpServerOptions options_;
  std::optional<HttpServer> server_;
  std::optional<Error> failure_;
  std::chrono::milliseconds wait_ = 1h;
  int waiting_count_ = 0;
  bool may_go_on_ = false;
};

TEST_F(HttpResponderTest, EachWriteReachesTheClientAtOnce) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/lines"));
    auto const first = co_await probe.read_until("one\n\r\n");
    EXPECT_TRUE(first.ends_with("Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")) << first;
    go_on();
    EXPECT_EQ(co_await probe.read_until("0\r\n\r\n"), "4\r\ntwo\n\r\n0\r\n\r\n");
    EXPECT_EQ(status_of(co_await probe.ask(get("/sized"))), 206u) << "the connection goes on";
  });
}

TEST_F(HttpResponderTest, AClientOfHttp10GetsAStreamThatEndsWithTheConnection) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send("GET /lines HTTP/1.0\r\n\r\n");
    std::ignore = co_await probe.read_until("one\n");
    go_on();
    EXPECT_EQ(co_await probe.read_to_end(), "two\n");
    EXPECT_EQ(probe.ended(), asio::error::eof);
  });
}

TEST_F(HttpResponderTest, AClientOfHttp10MayKeepItsConnection) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::string const request = "GET /sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    auto const answer = co_await probe.ask(request);
    EXPECT_NE(answer.find("Connection: keep-alive\r\n"), answer.npos) << answer;
    EXPECT_EQ(status_of(co_await probe.ask(request)), 206u);
  });
}

TEST_F(HttpResponderTest, SendsABodyOfKnownLengthAsItIs) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    auto const answer = co_await probe.ask(get("/sized"));
    EXPECT_NE(answer.find("Content-Range: bytes 0-5/10\r\n"), answer.npos) << answer;
    EXPECT_NE(answer.find("Content-Length: 6\r\n"), answer.npos) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\nabcdef")) << answer;
  });
}

TEST_F(HttpResponderTest, AnEmptyAnswerHasNoLength) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(co_await probe.ask(get("/nothing")), "HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(co_await probe.ask(get("/nothing")), "HTTP/1.1 204 No Content\r\n\r\n");
  });
}

TEST_F(HttpResponderTest, AnErrorBeforeTheFirstByteBecomesJson) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    auto const answer = co_await probe.ask(get("/fails"));
    EXPECT_EQ(status_of(answer), 507u);
    EXPECT_TRUE(answer.ends_with(
        "{\"detail\":\"the disk is \\\"full\\\"\xef\xbf\xbd\",\"kind\":\"exhausted\"}"))
        << answer;
  });
}

TEST_F(HttpResponderTest, AnErrorAfterTheFirstByteBreaksTheConnection) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/breaks"));
    auto const answer = co_await probe.read_to_end();
    EXPECT_TRUE(answer.ends_with("4\r\nhalf\r\n")) << answer;
  });
}

TEST_F(HttpResponderTest, AHandlerThatSaysNothingIsAServerError) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(get("/silent"))), 500u);
  });
}

TEST_F(HttpResponderTest, NoticesThatTheClientLeft) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/forever"));
    std::ignore = co_await probe.read_until("xxx");
    probe.close();
    while (!failure_) EXPECT_TRUE(co_await sleep_for(1ms));
  });
  EXPECT_EQ(failure_->kind, ErrorKind::cancelled);
}

TEST_F(HttpResponderTest, GivesUpAClientThatTakesNothing) {
  options_.deadlines.write_idle = 50ms;
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/forever"));
    while (!failure_) EXPECT_TRUE(co_await sleep_for(1ms));
  });
  EXPECT_EQ(failure_->kind, ErrorKind::unavailable);
}

TEST_F(HttpResponderTest, StopLetsARunningRequestFinish) {
  wait_ = 30ms;
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/waits"));
    while (waiting_count_ == 0) EXPECT_TRUE(co_await sleep_for(1ms));
    co_await server_->stop(10s);
    auto const answer = co_await probe.read_to_end();
    EXPECT_TRUE(answer.ends_with("waited")) << answer;
    EXPECT_NE(answer.find("Connection: close"), answer.npos) << answer;
  });
}

TEST_F(HttpResponderTest, StopCutsARequestThatOutlastsTheGrace) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/waits"));
    while (waiting_count_ == 0) EXPECT_TRUE(co_await sleep_for(1ms));
    co_await server_->stop(20ms);
    EXPECT_EQ(co_await probe.read_to_end(), "");
  });
}

TEST_F(HttpResponderTest, StopEndsIdleConnectionsAtOnce) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(get("/sized"))), 206u);
    auto const start = std::chrono::steady_clock::now();
    co_await server_->stop(30s);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
    EXPECT_EQ(co_await probe.read_to_end(), "");
  });
}

}  // namespace
}  // namespace grove
