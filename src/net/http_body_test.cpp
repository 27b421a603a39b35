// Request bodies as handlers read them: framing, limits, slow and broken senders.
#include "net/http_body.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "net/http_probe.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t bytes_max = 1000;

class HttpBodyTest : public testing::Test {
 protected:
  HttpBodyTest() {
    router_.add(http::verb::put, "/size", [this](HttpRequest& request, HttpResponder& responder) {
      return size(request, responder);
    });
    router_.add(http::verb::put, "/ignore", [](HttpRequest&, HttpResponder& responder) {
      return responder.send_text(200, "text/plain", "ignored");
    });
  }

  Awaitable<Result<void>> size(HttpRequest& request, HttpResponder& responder) {
    auto body = co_await request.read_body(bytes_max);
    if (!body) {
      failure_ = body.error();
      co_return body.error();
    }
    co_return co_await responder.send_text(200, "text/plain", std::to_string(body.value().size()));
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
  HttpRouter router_;
  HttpServerOptions options_;
  std::optional<HttpServer> server_;
  std::optional<Error> failure_;
};

std::string put(std::string_view target, std::string_view headers, std::string_view body) {
  return fmt::format("PUT {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n{}", target, headers, body);
}

std::string put_sized(std::string_view target, std::size_t size) {
  return put(target, fmt::format("Content-Length: {}\r\n", size), std::string(size, 'x'));
}

std::string put_chunked(std::string_view target, auto... sizes) {
  std::string body;
  ((body += fmt::format("{:x}\r\n{}\r\n", sizes, std::string(std::size_t{sizes}, 'x'))), ...);
  return put(target, "Transfer-Encoding: chunked\r\n", body + "0\r\n\r\n");
}

TEST_F(HttpBodyTest, TakesTheLargestBodyAllowed) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    auto const sized = co_await probe.ask(put_sized("/size", bytes_max));
    EXPECT_TRUE(sized.ends_with("\r\n\r\n1000")) << sized;
    auto const chunked = co_await probe.ask(put_chunked("/size", 1u, 900u, 99u));
    EXPECT_TRUE(chunked.ends_with("\r\n\r\n1000")) << chunked;
    auto const none = co_await probe.ask(put_sized("/size", 0));
    EXPECT_TRUE(none.ends_with("\r\n\r\n0")) << none;
    auto const no_header = co_await probe.ask(put("/size", "", ""));
    EXPECT_TRUE(no_header.ends_with("\r\n\r\n0")) << no_header;
  });
}

TEST_F(HttpBodyTest, RefusesABodyOneByteLargerWithoutReadingIt) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    // The body never comes: the answer has to.
    auto const answer = co_await probe.ask(put("/size", "Content-Length: 1001\r\n", ""));
    EXPECT_EQ(status_of(answer), 400u);
    EXPECT_NE(answer.find("longer than the 1000 bytes"), answer.npos) << answer;
  });
}

TEST_F(HttpBodyTest, RefusesAChunkedBodyOneByteLarger) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(put_chunked("/size", 1000u, 1u))), 400u);
    EXPECT_EQ(status_of(co_await probe.ask(put_sized("/size", 10))), 200u)
        << "the rest was small enough to skip";
  });
}

TEST_F(HttpBodyTest, RefusesBrokenChunks) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(
                  put("/size", "Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"))),
              400u);
  });
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->kind, ErrorKind::invalid);
}

TEST_F(HttpBodyTest, FailsWhenTheBodyIsShorterThanAnnounced) {
  run([this](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(put("/size", "Content-Length: 10\r\n", "12345"));
    probe.close();
    while (!failure_) EXPECT_TRUE(co_await sleep_for(1ms));
  });
  EXPECT_EQ(failure_->kind, ErrorKind::invalid);
  EXPECT_EQ(failure_->message, "request body: ended after 5 bytes, before its announced end");
}

TEST_F(HttpBodyTest, CutsASenderThatFallsSilent) {
  options_.deadlines.body_idle = 30ms;
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(put("/size", "Content-Length: 10\r\n", "12345"));
    EXPECT_EQ(status_of(co_await probe.read_to_end()), 503u);
  });
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->kind, ErrorKind::unavailable);
}

TEST_F(HttpBodyTest, CutsASenderThatIsTooSlowThoughNeverSilent) {
  options_.deadlines.body_idle = 100ms;
  options_.deadlines.body_bytes_per_second_min = 1000;
  options_.deadlines.linger = 1ms;
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(put("/size", "Content-Length: 1000\r\n", ""));
    int sent = 0;
    for (bool accepted = true; accepted && sent < 1000; ++sent) {
      accepted = co_await probe.send("x");
      std::ignore = co_await sleep_for(5ms);
    }
    EXPECT_LT(sent, 200);
    EXPECT_GT(sent, 10);
  });
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->kind, ErrorKind::unavailable);
}

TEST_F(HttpBodyTest, SaysGoOnOnlyWhenTheBodyIsWanted) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::string const expect = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    std::ignore = co_await probe.send(put("/size", expect, ""));
    EXPECT_EQ(co_await probe.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(status_of(co_await probe.ask("abc")), 200u);
    std::ignore = co_await probe.send(put("/ignore", expect, ""));
    auto const answer = co_await probe.read_to_end();
    EXPECT_EQ(status_of(answer), 200u);
    EXPECT_NE(answer.find("Connection: close"), answer.npos);
  });
}

TEST_F(HttpBodyTest, SkipsASmallBodyThatNobodyRead) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(put_sized("/ignore", 64 * limits::kib))), 200u);
    EXPECT_EQ(status_of(co_await probe.ask(put_chunked("/ignore", 5000u, 5000u))), 200u);
    EXPECT_EQ(status_of(co_await probe.ask(put_sized("/size", 1))), 200u);
  });
}

TEST_F(HttpBodyTest, ClosesRatherThanSkipALargeBodyAndTheAnswerArrives) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(put_sized("/ignore", 64 * limits::kib + 1));
    auto const answer = co_await probe.read_to_end();
    EXPECT_EQ(status_of(answer), 200u);
    EXPECT_NE(answer.find("Connection: close"), answer.npos);
    EXPECT_EQ(probe.ended(), asio::error::eof);
  });
}

}  // namespace
}  // namespace grove
