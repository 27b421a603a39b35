// The client against peers that are gone, silent, or speak badly: each plays a script.
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "net/http_client.h"
#include "net/http_probe.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

// Accepts connections one after the other; each gets its line of the script: after a request's
// head has come, the answer is sent and the connection closed.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(asio::any_io_executor executor,
                        asio::ip::address address = asio::ip::address_v4::loopback())
      : acceptor_(executor, tcp::endpoint(address, 0)) {}

  Endpoint endpoint() const {
    auto const local = acceptor_.local_endpoint();
    return {local.address().to_string(), local.port(), "peer"};
  }
  std::string const& request() const { return request_; }  // the last one's head
  Awaitable<void> play(std::vector<std::string> script) {
    for (auto const& answer : script) {
      auto [error, socket] = co_await acceptor_.async_accept(as_result);
      if (error) co_return;
      HttpProbe probe(std::move(socket));
      request_ = co_await probe.read_until("\r\n\r\n");
      std::ignore = co_await probe.send(answer);
    }
  }

 private:
  tcp::acceptor acceptor_;
  std::string request_;
};

class HttpClientPeersTest : public testing::Test {
 protected:
  HttpClientPeersTest() : client_(loop_.executor()), peer_(loop_.executor()) {}

  // Calls once for each line of the script.
  std::vector<Result<HttpReply>> play(std::vector<std::string> script, std::size_t calls_count) {
    std::vector<Result<HttpReply>> replies;
    loop_.run([&]() -> Awaitable<void> {
      loop_.tasks().spawn("peer", peer_.play(script));
      for (std::size_t i = 0; i < calls_count; ++i) {
        HttpCall call{.target = "/x", .reply_bytes_max = 10, .idle_timeout = 5s};
        replies.push_back(co_await client_.call(peer_.endpoint(), call));
      }
    });
    return replies;
  }
  Result<HttpReply> play(std::string answer) { return std::move(play({answer}, 1).front()); }

  TestLoop loop_;
  HttpClient client_;
  ScriptedPeer peer_;
};

std::string const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

TEST_F(HttpClientPeersTest, SaysThatAConnectionIsRefused) {
  Endpoint gone;
  {
    tcp::acceptor acceptor(loop_.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    gone = {"127.0.0.1", acceptor.local_endpoint().port(), "pi4-3"};
  }
  loop_.run([&]() -> Awaitable<void> {
    HttpCall call{.target = "/x"};
    auto const reply = co_await client_.call(gone, call);
    auto const message = fmt::format("pi4-3 (127.0.0.1:{}): connection refused", gone.port);
    EXPECT_EQ(reply.error(), (Error{ErrorKind::unavailable, message}));
  });
}

TEST_F(HttpClientPeersTest, GivesUpAListenerThatNeverAccepts) {
  loop_.run([&]() -> Awaitable<void> {
    HttpCall call{.target = "/x", .idle_timeout = 1500ms};
    auto const reply = co_await client_.call(peer_.endpoint(), call);
    EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
    EXPECT_TRUE(reply.error().message.ends_with("): no answer within 1.5 s"))
        << reply.error().message;
  });
}

TEST_F(HttpClientPeersTest, GivesUpWhenNobodyTakesTheBody) {
  loop_.run([&]() -> Awaitable<void> {
    std::string const body(64 * limits::mib, 'x');
    HttpCall call{
        .method = http::verb::put, .target = "/x", .body = bytes_of(body), .idle_timeout = 50ms};
    auto const reply = co_await client_.call(peer_.endpoint(), call);
    EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
    EXPECT_LT(client_.traffic().sent, body.size());
  });
}

TEST_F(HttpClientPeersTest, ReplacesAPooledConnectionThatDied) {
  auto const replies = play({hello, hello, hello}, 3);
  for (auto const& reply : replies) EXPECT_EQ(reply.value().text(), "hello");
}

TEST_F(HttpClientPeersTest, DoesNotReplaceAFreshConnectionThatDies) {
  auto const reply = play("");
  EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(reply.error().message.ends_with("connection closed without an answer"))
      << reply.error().message;
}

TEST_F(HttpClientPeersTest, SkipsInterimAnswers) {
  auto const reply = play("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + hello);
  EXPECT_EQ(reply.value().text(), "hello");
}

TEST_F(HttpClientPeersTest, ReadsABodyThatEndsWithTheConnection) {
  auto const reply = play("HTTP/1.0 200 OK\r\n\r\nhello");
  EXPECT_EQ(reply.value().text(), "hello");
}

TEST_F(HttpClientPeersTest, ReadsAChunkedBodyWithTrailers) {
  std::string const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  auto const reply = play(head + "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n");
  EXPECT_EQ(reply.value().text(), "hello");
}

TEST_F(HttpClientPeersTest, TellsAnAnswerCutShort) {
  auto const reply = play("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello");
  EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
}

TEST_F(HttpClientPeersTest, TellsAHeadCutShort) {
  auto const reply = play("HTTP/1.1 200 OK\r\nContent-Le");
  EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
}

TEST_F(HttpClientPeersTest, TellsWhatIsNotHttp) {
  auto const reply = play("220 mail.example ESMTP\r\n\r\n");
  EXPECT_EQ(reply.error().kind, ErrorKind::internal);
}

TEST_F(HttpClientPeersTest, RefusesALongBodyWithoutAnAnnouncedLength) {
  auto const fits = play("HTTP/1.0 200 OK\r\n\r\n" + std::string(10, 'x'));
  EXPECT_EQ(fits.value().body.size(), 10u);
  auto const reply = play("HTTP/1.0 200 OK\r\n\r\n" + std::string(11, 'x'));
  EXPECT_EQ(reply.error().kind, ErrorKind::internal);
}

TEST_F(HttpClientPeersTest, SendsAHostWithBracketsForIpv6) {
  tcp::acceptor probe(loop_.context());
  error_code error;
  probe.open(tcp::v6(), error);
  if (!error) probe.bind(tcp::endpoint(asio::ip::address_v6::loopback(), 0), error);
  if (error) GTEST_SKIP() << "this machine has no IPv6: " << error.message();
  ScriptedPeer peer(loop_.executor(), asio::ip::address_v6::loopback());
  loop_.run([&]() -> Awaitable<void> {
    loop_.tasks().spawn("peer", peer.play({1, hello}));
    auto const endpoint = peer.endpoint();
    HttpCall call{.target = "/x"};
    auto const reply = co_await client_.call(endpoint, call);
    EXPECT_EQ(reply.value().status, 200u);
    auto const host = fmt::format("\r\nHost: [::1]:{}\r\n", endpoint.port);
    EXPECT_NE(peer.request().find(host), std::string::npos) << peer.request();
  });
}

}  // namespace
}  // namespace grove
