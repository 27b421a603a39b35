// A client for tests that sends exactly the bytes it is told to, and a server in the test's loop.
// Threads: the test's loop.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "net/connection.h"
#include "net/http_server.h"
#include "net/test_loop.h"

namespace grove {

class HttpProbe {
 public:
  HttpProbe(asio::any_io_executor executor, std::uint16_t port)
      : connection_(std::move(executor)), port_(port) {}
  // The other side of an accepted connection.
  explicit HttpProbe(tcp::socket socket) : connection_(std::move(socket)) {}

  Awaitable<void> connect() {
    tcp::endpoint const endpoint(asio::ip::address_v4::loopback(), port_);
    auto const error = co_await connection_.connect(endpoint, soon());
    EXPECT_FALSE(error) << error.message();
  }
  Awaitable<bool> send(std::string text) {
    Connection::Parts const parts{bytes_of(text)};
    auto const sent = co_await connection_.write(parts, std::chrono::seconds(10));
    co_return !sent.error;
  }
  // Everything up to and with the first `end`, or up to the end of the connection.
  Awaitable<std::string> read_until(std::string end) {
    for (;;) {
      auto const found = text().find(end);
      if (found != std::string_view::npos) co_return take(found + end.size());
      auto const error = co_await connection_.receive(soon());
      if (error) {
        ended_ = error;
        co_return take(text().size());
      }
    }
  }
  Awaitable<std::string> read_to_end() { return read_until("\x01 never comes"); }
  // One answer with a Content-Length; the head's last line break and the body.
  Awaitable<std::string> ask(std::string request) {
    std::ignore = co_await send(std::move(request));
    auto head = co_await read_until("\r\n\r\n");
    auto const length = head.find("Content-Length: ");
    if (length == head.npos) co_return head;
    auto const size = std::stoul(head.substr(length + 16));
    while (text().size() < size) {
      auto const error = co_await connection_.receive(soon());
      if (error) break;
    }
    co_return head + take(size);
  }
  error_code ended() const { return ended_; }
  void close() { connection_.close(); }

 private:
  static Connection::Clock::time_point soon() {
    return Connection::Clock::now() + std::chrono::seconds(20);
  }
  std::string_view text() const { return text_of(connection_.received()); }
  std::string take(std::size_t size) {
    std::string taken(text().substr(0, size));
    connection_.consume(taken.size());
    return taken;
  }

  Connection connection_;
  std::uint16_t port_ = 0;
  error_code ended_;
};

// "GET /x HTTP/1.1" with our Host and no body.
inline std::string get(std::string_view target, std::string_view headers = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", target, headers);
}

inline unsigned status_of(std::string_view answer) {
  return answer.size() < 12 ? 0
                            : static_cast<unsigned>(std::stoul(std::string(answer.substr(9, 3))));
}

}  // namespace grove
