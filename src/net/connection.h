// One TCP connection on which no await lasts for ever: every read and write has a deadline.
// Shared by the server and the client.
// Errors are error_codes here (asio::error::timed_out: the deadline; operation_aborted: cancelled);
// whoever knows what was being done makes an Error of them (network_error.h, http_request.cpp).
// Threads: all members on the socket's executor; one read and one write at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include "net/asio.h"

namespace grove {

// How far a read or write came; `size` counts also where there is an error.
struct Transferred {
  error_code error;
  std::size_t size = 0;
};

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Connection(asio::any_io_executor executor);
  explicit Connection(tcp::socket socket);
  Connection(Connection const&) = delete;
  Connection& operator=(Connection const&) = delete;
  ~Connection();

  Awaitable<error_code> connect(tcp::endpoint endpoint, Clock::time_point deadline);

  // Receives some bytes behind those in received(); an error (no_buffer_space) when it is full.
  Awaitable<error_code> receive(Clock::time_point deadline);
  std::span<std::byte const> received() const;
  void consume(std::size_t size);

  // Reads some bytes: those in received() first, else straight from the socket.
  Awaitable<Transferred> read_some(std::span<std::byte> into, Clock::time_point deadline);

  // Writes all of the parts, one behind the other, without copying them. `idle_timeout` runs anew
  // each time the peer has taken a byte.
  using Parts = std::array<std::span<std::byte const>, 3>;
  Awaitable<Transferred> write(Parts parts, std::chrono::milliseconds idle_timeout);

  // Says that nothing more will be sent and discards what still comes until the peer closes or the
  // deadline: closing at once would reset the connection under an answer not yet read.
  Awaitable<void> linger(Clock::time_point deadline);

  // Whether an idle connection can take a request: the peer has neither closed it nor spoken.
  bool is_quiet() const;
  bool has_input() const;
  // Between two exchanges: the deadline's timer ends, so that an idle connection keeps no event
  // loop running.
  void rest();
  void close();

  tcp::endpoint local() const;
  tcp::endpoint remote() const;

 private:
  struct Watched;

  Awaitable<error_code> why_not() const;
  error_code outcome(error_code error) const;

  std::shared_ptr<Watched> watched_;
  beast::flat_buffer input_;
};

}  // namespace grove
