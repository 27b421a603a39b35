#include "net/http_server.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "net/http_probe.h"
#include "net/metrics_route.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

Awaitable<Result<void>> say_hello(HttpRequest&, HttpResponder& responder) {
  return responder.send_text(200, "text/plain", "hello");
}

Awaitable<Result<void>> echo(HttpRequest& request, HttpResponder& responder) {
  CO_TRY(auto body, co_await request.read_body(100));
  co_return co_await responder.send(200, "application/octet-stream", body.span());
}

Awaitable<Result<void>> quote(HttpRequest& request, HttpResponder& responder) {
  auto const text =
      fmt::format("{} [{}]", fmt::join(request.args(), "|"), request.param("q").value_or("none"));
  co_return co_await responder.send_text(200, "text/plain", text);
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    router_.add(http::verb::get, "/hello", say_hello);
    router_.add(http::verb::put, "/echo", echo);
    router_.add(http::verb::get, "/quote/{}/of/{}", quote);
  }

  // Starts the server, runs `body` with a connected probe, stops the server.
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
};

TEST_F(HttpServerTest, AnswersOneRequestAfterAnotherOnOneConnection) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(co_await probe.ask(get("/hello")),
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    }
  });
}

TEST_F(HttpServerTest, CountsTheBytesOfBodiesBothWaysAndNoneOfHeads) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::string const put = "PUT /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n";
    EXPECT_EQ(status_of(co_await probe.ask(put + "abc")), 200u);
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello"))), 200u);
  });
  EXPECT_EQ(server_->traffic().received, 3u);
  EXPECT_EQ(server_->traffic().sent, 3u + 5u);
}

TEST_F(HttpServerTest, AnswersMetricsWithAndWithoutASlash) {
  Metrics metrics({Role::worker});
  add_metrics_routes(router_, metrics, [&]() -> Awaitable<void> {
    metrics.add(Count::chunks_put);  // what is measured when somebody looks
    co_return;
  });
  run([](HttpProbe& probe) -> Awaitable<void> {
    for (auto const* target : {"/metrics", "/metrics/"}) {
      auto const answer = co_await probe.ask(get(target));
      EXPECT_EQ(status_of(answer), 200u);
      EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4"), answer.npos) << answer;
      EXPECT_NE(answer.find("\nsmoltorrent_chunks_put_total "), answer.npos) << answer;
    }
    EXPECT_EQ(status_of(co_await probe.ask(get("/metrics/x"))), 404u);
  });
  EXPECT_NE(metrics.text().find("smoltorrent_chunks_put_total 2\n"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersRequestsThatCameTogether) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(
        "PUT /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab" + get("/hello"));
    EXPECT_EQ(status_of(co_await probe.ask("")), 200u);
    auto const second = co_await probe.ask("");
    EXPECT_TRUE(second.ends_with("hello")) << second;
  });
}

TEST_F(HttpServerTest, AnswersWhatComesInSinglePieces) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    for (char const c : get("/hello")) EXPECT_TRUE(co_await probe.send(std::string(1, c)));
    EXPECT_EQ(status_of(co_await probe.ask("")), 200u);
  });
}

TEST_F(HttpServerTest, ClosesWhenAskedTo) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(get("/hello", "Connection: close\r\n"));
    auto const answer = co_await probe.read_to_end();
    EXPECT_NE(answer.find("Connection: close\r\n"), answer.npos) << answer;
    EXPECT_EQ(probe.ended(), asio::error::eof);
  });
}

TEST_F(HttpServerTest, DecodesSegmentsAndParameters) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    auto const answer = co_await probe.ask(get("/quote/a%2Fb/of/c%20+d?q=1+2%2B3%20x&q=no"));
    EXPECT_TRUE(answer.ends_with("a/b|c +d [1 2+3 x]")) << answer;
    EXPECT_EQ(status_of(co_await probe.ask(get("/quote/%zz/of/c"))), 400u);
    EXPECT_EQ(status_of(co_await probe.ask(get("/quote/a/of/c?q=%"))), 400u);
    EXPECT_EQ(status_of(co_await probe.ask(get("/quote//of/c"))), 404u);
  });
}

TEST_F(HttpServerTest, TellsAMissingPathFromAWrongMethod) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    auto const missing = co_await probe.ask(get("/nothing"));
    EXPECT_EQ(status_of(missing), 404u);
    EXPECT_TRUE(
        missing.ends_with(R"({"detail":"/nothing: there is nothing here","kind":"not_found"})"))
        << missing;
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello/"))), 404u);
    auto const wrong = co_await probe.ask(get("/echo"));
    EXPECT_EQ(status_of(wrong), 405u);
    EXPECT_NE(wrong.find("Allow: PUT\r\n"), wrong.npos) << wrong;
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello"))), 200u) << "the connection went on";
  });
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttp) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n");
    EXPECT_EQ(status_of(co_await probe.read_to_end()), 400u);
  });
}

TEST_F(HttpServerTest, RefusesATargetThatIsNotAPath) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(get("http://localhost/hello"))), 400u);
  });
}

// A request whose head has exactly that many bytes.
std::string head_of(std::size_t size) {
  auto const bare = get("/hello", "X: \r\n").size();
  return get("/hello", "X: " + std::string(size - bare, 'x') + "\r\n");
}

TEST_F(HttpServerTest, TakesTheLargestHead) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(head_of(limits::http_header_bytes_max))), 200u);
  });
}

TEST_F(HttpServerTest, RefusesAHeadOneByteLarger) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send(head_of(limits::http_header_bytes_max + 1));
    EXPECT_EQ(status_of(co_await probe.read_to_end()), 431u);
  });
}

TEST_F(HttpServerTest, RefusesAHeadThatNeverEnds) {
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n");
    std::string const field = "X: " + std::string(1000, 'x') + "\r\n";
    for (int i = 0; i < 70; ++i) std::ignore = co_await probe.send(field);
    EXPECT_EQ(status_of(co_await probe.read_to_end()), 431u);
  });
}

TEST_F(HttpServerTest, CutsAHeadThatComesTooSlowly) {
  options_.deadlines.head = 50ms;
  run([](HttpProbe& probe) -> Awaitable<void> {
    std::ignore = co_await probe.send("GET /hello HTT");
    EXPECT_EQ(status_of(co_await probe.read_to_end()), 408u);
  });
}

TEST_F(HttpServerTest, ClosesAnIdleConnection) {
  options_.deadlines.keep_alive = 30ms;
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello"))), 200u);
    EXPECT_EQ(co_await probe.read_to_end(), "");
    EXPECT_EQ(probe.ended(), asio::error::eof);
  });
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondItsLimit) {
  options_.connections_max = 1;
  run([this](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello"))), 200u);
    HttpProbe second(loop_.executor(), server_->port());
    co_await second.connect();
    std::ignore = co_await second.send(get("/hello"));
    EXPECT_EQ(status_of(co_await second.read_to_end()), 503u);
    EXPECT_EQ(status_of(co_await probe.ask(get("/hello"))), 200u) << "the first one goes on";
  });
}

TEST_F(HttpServerTest, FailsWhereThePortIsTaken) {
  run([this](HttpProbe&) -> Awaitable<void> {
    HttpServerOptions same = options_;
    same.port = server_->port();
    HttpServer other(loop_.executor(), router_, same);
    auto const started = other.start();
    EXPECT_FALSE(started);
    EXPECT_EQ(started.error().kind, ErrorKind::conflict);
    EXPECT_NE(started.error().message.find(std::to_string(same.port)), std::string::npos);
    co_return;
  });
}

TEST_F(HttpServerTest, ListensOnAllAddressesButIsNotCalledByThem) {
  options_.address = "0.0.0.0";
  run([](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask("GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")),
              200u);
    EXPECT_EQ(status_of(co_await probe.ask("GET /hello HTTP/1.1\r\nHost: 0.0.0.0\r\n\r\n")), 403u);
  });
}

TEST_F(HttpServerTest, FailsWhereTheAddressIsNotOurs) {
  options_.address = "192.0.2.1";
  HttpServer server(loop_.executor(), router_, options_);
  auto const started = server.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::invalid);
}

struct HeaderCase {
  std::string headers;
  unsigned status;
};

class HttpServerHeaders : public HttpServerTest, public testing::WithParamInterface<HeaderCase> {};

TEST_P(HttpServerHeaders, DecideWhoIsServed) {
  options_.hosts = {"Pi4-1", "fd00::7"};
  auto const& wanted = GetParam();
  auto const request = "GET /hello HTTP/1.1\r\n" + wanted.headers + "\r\n";
  run([&](HttpProbe& probe) -> Awaitable<void> {
    EXPECT_EQ(status_of(co_await probe.ask(request)), wanted.status) << wanted.headers;
  });
}

INSTANTIATE_TEST_SUITE_P(
    All, HttpServerHeaders,
    testing::Values(
        HeaderCase{"Host: localhost\r\n", 200}, HeaderCase{"Host: LocalHost:1234\r\n", 200},
        HeaderCase{"Host: 127.0.0.1:80\r\n", 200}, HeaderCase{"Host: [::1]:80\r\n", 200},
        HeaderCase{"Host: pi4-1:80\r\n", 200}, HeaderCase{"Host: [fd00::7]\r\n", 200},
        HeaderCase{"", 400}, HeaderCase{"Host: localhost\r\nHost: localhost\r\n", 400},
        HeaderCase{"Host: evil.example\r\n", 403}, HeaderCase{"Host: 192.0.2.1\r\n", 403},
        HeaderCase{"Host: localhost.evil.example\r\n", 403}, HeaderCase{"Host: \r\n", 403},
        HeaderCase{"Host: localhost:80:80\r\n", 403}, HeaderCase{"Host: evil@localhost\r\n", 403},
        HeaderCase{"Host: localhost\r\nOrigin: http://localhost:3000\r\n", 200},
        HeaderCase{"Host: localhost\r\nOrigin: http://[::1]\r\n", 200},
        HeaderCase{"Host: localhost\r\nOrigin: http://evil.example\r\n", 403},
        HeaderCase{"Host: localhost\r\nOrigin: null\r\n", 403},
        HeaderCase{"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil\r\n", 403},
        HeaderCase{"Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n", 400},
        HeaderCase{"Host: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
        HeaderCase{"Host: localhost\r\nContent-Length: -1\r\n", 400}));

}  // namespace
}  // namespace grove
