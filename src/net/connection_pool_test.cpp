#include "net/connection_pool.h"

#include <vector>

#include <gtest/gtest.h>

#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

class ConnectionPoolTest : public testing::Test {
 protected:
  ConnectionPoolTest()
      : acceptor_(loop_.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}

  // A connection of ours; its other side stays in peers_.
  Awaitable<std::unique_ptr<Connection>> connect() {
    auto ours = std::make_unique<Connection>(loop_.executor());
    auto const error =
        co_await ours->connect(acceptor_.local_endpoint(), Connection::Clock::now() + 10s);
    EXPECT_FALSE(error) << error.message();
    peers_.push_back(acceptor_.accept());
    co_return ours;
  }
  Awaitable<void> put(int count) {
    for (int i = 0; i < count; ++i) {
      auto connection = co_await connect();
      pool_.put("a:1", std::move(connection));
    }
  }

  TestLoop loop_;
  tcp::acceptor acceptor_;
  std::vector<tcp::socket> peers_;
  ConnectionPool pool_;
};

TEST_F(ConnectionPoolTest, KeepsEightAndNotOneMore) {
  loop_.run([&] { return put(8); });
  EXPECT_EQ(pool_.count("a:1"), 8u);
  loop_.run([&] { return put(1); });
  EXPECT_EQ(pool_.count("a:1"), 8u);
}

TEST_F(ConnectionPoolTest, KeepsNoEventLoopRunning) {
  loop_.run([&] { return put(2); });
  loop_.context().restart();
  loop_.context().poll();
  EXPECT_TRUE(loop_.context().stopped()) << "something is still waited for";
}

TEST_F(ConnectionPoolTest, GivesEachOutOnceAndOnlyForItsPlace) {
  loop_.run([&] { return put(1); });
  EXPECT_EQ(pool_.take("b:1"), nullptr);
  EXPECT_NE(pool_.take("a:1"), nullptr);
  EXPECT_EQ(pool_.take("a:1"), nullptr);
}

TEST_F(ConnectionPoolTest, DropsThoseThatAreClosedOrSpeakUnasked) {
  loop_.run([&] { return put(3); });
  peers_[2].close();
  std::ignore = peers_[1].send(asio::buffer("HTTP/1.1 408 Request Timeout\r\n\r\n"));
  EXPECT_NE(pool_.take("a:1"), nullptr) << "the first is as it was";
  EXPECT_EQ(pool_.count("a:1"), 0u);
}

}  // namespace
}  // namespace grove
