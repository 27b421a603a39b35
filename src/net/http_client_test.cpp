#include "net/http_client.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

// A client against our own server.
class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() : client_(loop_.executor()), next_(loop_.executor()) {
    add(http::verb::get, "/hello", &HttpClientTest::hello);
    add(http::verb::put, "/echo", &HttpClientTest::echo);
    add(http::verb::get, "/lines", &HttpClientTest::lines);
    add(http::verb::get, "/fails", &HttpClientTest::fails);
    add(http::verb::get, "/breaks", &HttpClientTest::breaks);
    add(http::verb::put, "/full", &HttpClientTest::full);
    add(http::verb::get, "/waits", &HttpClientTest::waits);
  }

  using Handler = Awaitable<Result<void>> (HttpClientTest::*)(HttpRequest&, HttpResponder&);
  void add(http::verb method, std::string path, Handler handler) {
    router_.add(method, std::move(path),
                [this, handler](HttpRequest& request, HttpResponder& responder) {
                  return (this->*handler)(request, responder);
                });
  }
  Awaitable<Result<void>> hello(HttpRequest& request, HttpResponder& responder) {
    clients_.push_back(request.remote_address());
    return responder.send_text(200, "text/plain", "hello");
  }
  Awaitable<Result<void>> echo(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto body, co_await request.read_body(8 * limits::mib));
    co_return co_await responder.send(200, "application/octet-stream", body.span());
  }
  Awaitable<Result<void>> lines(HttpRequest&, HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain", std::nullopt, {}));
    CO_TRY(co_await responder.write_text("one\n"));
    while (!may_go_on_) std::ignore = co_await next_.wait();
    CO_TRY(co_await responder.write_text("two\n"));
    co_return co_await responder.finish();
  }
  Awaitable<Result<void>> fails(HttpRequest&, HttpResponder&) {
    co_return fail(ErrorKind::conflict, "not now");
  }
  Awaitable<Result<void>> breaks(HttpRequest&, HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain", std::nullopt, {}));
    CO_TRY(co_await responder.write_text("half"));
    co_return fail(ErrorKind::internal, "broken");
  }
  Awaitable<Result<void>> full(HttpRequest&, HttpResponder&) {
    co_return fail(ErrorKind::exhausted, "disk full");
  }
  Awaitable<Result<void>> waits(HttpRequest&, HttpResponder& responder) {
    std::ignore = co_await sleep_for(1h);
    co_return co_await responder.send_text(200, "text/plain", "");
  }

  void run(std::function<Awaitable<void>()> body) {
    server_.emplace(loop_.executor(), router_, HttpServerOptions{});
    ASSERT_TRUE(server_->start());
    endpoint_ = {"127.0.0.1", server_->port(), "here"};
    loop_.run([&]() -> Awaitable<void> {
      co_await body();
      client_.close_idle();
      co_await server_->stop(0ms);
    });
  }
  HttpCall get(std::string target) { return {.target = std::move(target)}; }

  TestLoop loop_;
  HttpClient client_;
  Signal next_;
  HttpRouter router_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
  std::vector<std::string> clients_;
  bool may_go_on_ = false;
};

TEST_F(HttpClientTest, UsesOneConnectionForCallAfterCall) {
  run([this]() -> Awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      auto const reply = co_await client_.call(endpoint_, get("/hello"));
      EXPECT_EQ(reply.value().status, 200u);
      EXPECT_EQ(reply.value().content_type, "text/plain");
      EXPECT_EQ(reply.value().text(), "hello");
    }
  });
  EXPECT_EQ(clients_.size(), 3u);
  EXPECT_EQ(clients_[0], clients_[2]);
}

TEST_F(HttpClientTest, CarriesAChunkThereAndBackAndCountsIt) {
  run([this]() -> Awaitable<void> {
    std::string body(limits::encoded_chunk_bytes_max, 'x');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 % 251);
    HttpCall call{.method = http::verb::put,
                  .target = "/echo",
                  .content_type = "application/octet-stream",
                  .body = bytes_of(body),
                  .reply_bytes_max = body.size()};
    auto const reply = co_await client_.call(endpoint_, call);
    EXPECT_TRUE(reply.value().text() == body);
    EXPECT_EQ(client_.traffic().sent, body.size());
    EXPECT_EQ(client_.traffic().received, body.size());
  });
}

TEST_F(HttpClientTest, RefusesAReplyOneByteTooLong) {
  run([this]() -> Awaitable<void> {
    auto call = get("/hello");
    call.reply_bytes_max = 5;
    auto const fits = co_await client_.call(endpoint_, call);
    EXPECT_TRUE(fits.has_value());
    call.reply_bytes_max = 4;
    auto const reply = co_await client_.call(endpoint_, call);
    EXPECT_EQ(reply.error().kind, ErrorKind::internal);
    EXPECT_NE(reply.error().message.find("longer than 4 bytes"), std::string::npos);
  });
}

TEST_F(HttpClientTest, AnyStatusIsAReply) {
  run([this]() -> Awaitable<void> {
    auto const reply = co_await client_.call(endpoint_, get("/fails"));
    EXPECT_EQ(reply.value().status, 409u);
    EXPECT_FALSE(reply.value().is_success());
    EXPECT_EQ(reply.value().text(), R"({"detail":"not now","kind":"conflict"})");
  });
}

TEST_F(HttpClientTest, HandsOnPiecesAsTheyCome) {
  run([this]() -> Awaitable<void> {
    std::vector<std::string> pieces;
    auto sink = [&](std::span<std::byte const> piece) -> Awaitable<Result<void>> {
      pieces.emplace_back(text_of(piece));
      may_go_on_ = true;  // so the second line is written only after the first was here
      next_.notify_all();
      co_return ok();
    };
    auto const reply = co_await client_.call_streamed(endpoint_, get("/lines"), sink);
    EXPECT_EQ(reply.value().status, 200u);
    EXPECT_EQ(reply.value().body.size(), 0u);
    EXPECT_EQ(pieces, (std::vector<std::string>{"one\n", "two\n"}));
  });
}

TEST_F(HttpClientTest, ASinkThatFailsEndsTheCall) {
  run([this]() -> Awaitable<void> {
    auto sink = [](std::span<std::byte const>) -> Awaitable<Result<void>> {
      co_return fail(ErrorKind::exhausted, "no room");
    };
    auto const reply = co_await client_.call_streamed(endpoint_, get("/lines"), sink);
    EXPECT_EQ(reply.error(), (Error{ErrorKind::exhausted, "no room"}));
    may_go_on_ = true;
    next_.notify_all();
  });
}

TEST_F(HttpClientTest, AnErrorReplyOfAStreamedCallComesWhole) {
  run([this]() -> Awaitable<void> {
    auto sink = [](std::span<std::byte const>) -> Awaitable<Result<void>> {
      ADD_FAILURE() << "an error is not a piece";
      co_return ok();
    };
    auto const reply = co_await client_.call_streamed(endpoint_, get("/fails"), sink);
    EXPECT_EQ(reply.value().status, 409u);
    EXPECT_GT(reply.value().body.size(), 0u);
  });
}

TEST_F(HttpClientTest, AStreamThatBreaksOffIsAFailure) {
  run([this]() -> Awaitable<void> {
    auto const reply = co_await client_.call(endpoint_, get("/breaks"));
    EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
  });
}

TEST_F(HttpClientTest, ReadsTheAnswerOfAServerThatRefusesALargeBody) {
  run([this]() -> Awaitable<void> {
    std::string const body(64 * limits::mib, 'x');
    HttpCall call{.method = http::verb::put,
                  .target = "/full",
                  .content_type = "application/octet-stream",
                  .body = bytes_of(body)};
    auto const reply = co_await client_.call(endpoint_, call);
    EXPECT_EQ(reply.value().status, 507u);
  });
}

Awaitable<void> call_and_note(HttpClient* client, Endpoint endpoint, std::optional<Error>* error) {
  HttpCall call{.target = "/waits", .idle_timeout = 1h};
  auto const reply = co_await client->call(endpoint, call);
  if (!reply) *error = reply.error();
}

TEST_F(HttpClientTest, ACallInFlightIsCancelled) {
  run([this]() -> Awaitable<void> {
    std::optional<Error> error;
    TaskGroup group(loop_.executor());
    group.spawn("call", call_and_note(&client_, endpoint_, &error));
    std::ignore = co_await sleep_for(10ms);
    co_await group.stop(10s);
    EXPECT_EQ(error->kind, ErrorKind::cancelled);
    error.reset();
    group.spawn("cancelled from its beginning", call_and_note(&client_, endpoint_, &error));
    co_await group.wait();
    EXPECT_EQ(error->kind, ErrorKind::cancelled);
  });
}

TEST_F(HttpClientTest, RefusesWhatWouldBreakTheHead) {
  run([this]() -> Awaitable<void> {
    for (auto const* target : {"", "hello", "/a b", "/a\r\nX: y"}) {
      auto const call = get(target);
      auto const reply = co_await client_.call(endpoint_, call);
      EXPECT_EQ(reply.error().kind, ErrorKind::invalid) << target;
    }
    auto call = get("/hello");
    call.headers.emplace_back("X", "a\r\nY: b");
    auto const reply = co_await client_.call(endpoint_, call);
    EXPECT_EQ(reply.error().kind, ErrorKind::invalid);
  });
}

TEST_F(HttpClientTest, FindsAServerByName) {
  run([this]() -> Awaitable<void> {
    endpoint_.host = "localhost";
    auto const reply = co_await client_.call(endpoint_, get("/hello"));
    EXPECT_EQ(reply.value().status, 200u);
  });
}

}  // namespace
}  // namespace grove
