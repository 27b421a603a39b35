#include "net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "net/task_group.h"

namespace grove {

namespace {

constexpr std::size_t receive_bytes = 16 * limits::kib;
constexpr std::size_t input_bytes_max = limits::http_header_bytes_max + receive_bytes;
constexpr auto never = Connection::Clock::time_point::max();

}  // namespace

// The socket and the timer that watches it. One timer serves many operations: an operation only
// moves `deadline`, and the timer looks at it when it fires.
struct Connection::Watched : std::enable_shared_from_this<Watched> {
  explicit Watched(tcp::socket open) : socket(std::move(open)), timer(socket.get_executor()) {}

  tcp::socket socket;
  asio::steady_timer timer;
  Clock::time_point deadline = never;
  bool is_waiting = false;
  bool has_expired = false;

  void watch(Clock::time_point until) {
    deadline = until;
    has_expired = false;
    if (until != never && (!is_waiting || until < timer.expiry())) wait();
  }

  void wait() {
    is_waiting = true;
    timer.expires_at(deadline);  // ends a wait that is under way
    timer.async_wait([weak = weak_from_this()](error_code error) {
      auto const self = weak.lock();
      if (error || !self) return;
      self->is_waiting = false;
      if (self->deadline == never) return;
      if (self->deadline > Clock::now()) return self->wait();
      self->has_expired = true;
      error_code ignored;
      self->socket.cancel(ignored);
    });
  }
};

Connection::Connection(asio::any_io_executor executor)
    : Connection(tcp::socket(std::move(executor))) {}

Connection::Connection(tcp::socket socket)
    : watched_(std::make_shared<Watched>(std::move(socket))), input_(input_bytes_max) {
  error_code ignored;  // a socket that is not open yet gets it in connect()
  watched_->socket.set_option(tcp::no_delay(true), ignored);
  watched_->socket.set_option(tcp::socket::send_buffer_size(limits::send_buffer_bytes), ignored);
}

Connection::~Connection() {
  close();
}

// With throw_if_cancelled(false) a cancellation ends the await under way only; the next has to ask.
Awaitable<error_code> Connection::why_not() const {
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return asio::error::operation_aborted;
  if (!watched_->socket.is_open()) co_return asio::error::operation_aborted;
  co_return error_code();
}

error_code Connection::outcome(error_code error) const {
  watched_->deadline = never;
  bool const timed_out = error == asio::error::operation_aborted && watched_->has_expired;
  return timed_out ? error_code(asio::error::timed_out) : error;
}

Awaitable<error_code> Connection::connect(tcp::endpoint endpoint, Clock::time_point deadline) {
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return asio::error::operation_aborted;
  error_code error;
  watched_->socket.open(endpoint.protocol(), error);
  if (error) co_return error;
  watched_->socket.set_option(tcp::no_delay(true), error);
  watched_->socket.set_option(tcp::socket::send_buffer_size(limits::send_buffer_bytes), error);
  watched_->watch(deadline);
  auto const [connected] = co_await watched_->socket.async_connect(endpoint, as_result);
  co_return outcome(connected);
}

Awaitable<error_code> Connection::receive(Clock::time_point deadline) {
  auto const obstacle = co_await why_not();
  if (obstacle) co_return obstacle;
  auto const room = std::min(receive_bytes, input_.max_size() - input_.size());
  if (room == 0) co_return asio::error::no_buffer_space;
  watched_->watch(deadline);
  auto const [error, size] =
      co_await watched_->socket.async_read_some(input_.prepare(room), as_result);
  input_.commit(size);
  co_return outcome(error);
}

std::span<std::byte const> Connection::received() const {
  auto const data = input_.data();
  return {static_cast<std::byte const*>(data.data()), data.size()};
}

void Connection::consume(std::size_t size) {
  input_.consume(size);
}

Awaitable<Transferred> Connection::read_some(std::span<std::byte> into,
                                             Clock::time_point deadline) {
  auto const waiting = received();
  if (!waiting.empty()) {
    auto const size = std::min(into.size(), waiting.size());
    std::memcpy(into.data(), waiting.data(), size);
    consume(size);
    co_return Transferred{{}, size};
  }
  auto const obstacle = co_await why_not();
  if (obstacle) co_return Transferred{obstacle, 0};
  watched_->watch(deadline);
  auto const [error, size] =
      co_await watched_->socket.async_read_some(asio::buffer(into.data(), into.size()), as_result);
  co_return Transferred{outcome(error), size};
}

Awaitable<Transferred> Connection::write(Parts parts, std::chrono::milliseconds idle_timeout) {
  Transferred written;
  std::array<asio::const_buffer, std::tuple_size_v<Parts>> rest;
  std::ranges::transform(parts, rest.begin(),
                         [](auto part) { return asio::const_buffer(part.data(), part.size()); });
  while (asio::buffer_size(rest) > 0) {
    written.error = co_await why_not();
    if (written.error) break;
    watched_->watch(Clock::now() + idle_timeout);
    auto const [error, size] = co_await watched_->socket.async_write_some(rest, as_result);
    written.error = outcome(error);
    written.size += size;
    if (error) break;
    auto done = size;
    for (auto& part : rest) {
      auto const step = std::min(done, part.size());
      part += step;
      done -= step;
    }
  }
  co_return written;
}

Awaitable<void> Connection::linger(Clock::time_point deadline) {
  error_code error;
  watched_->socket.shutdown(tcp::socket::shutdown_send, error);
  std::array<std::byte, receive_bytes> scrap;
  while (!error && Clock::now() < deadline) {
    auto const read = co_await read_some(scrap, deadline);
    error = read.error;
  }
}

bool Connection::is_quiet() const {
  std::byte next;
  auto const fd = watched_->socket.native_handle();
  auto const size = ::recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
  return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && received().empty();
}

bool Connection::has_input() const {
  error_code ignored;
  return !received().empty() || watched_->socket.available(ignored) > 0;
}

void Connection::rest() {
  watched_->timer.cancel();
  watched_->is_waiting = false;
}

void Connection::close() {
  watched_->timer.cancel();
  error_code ignored;
  watched_->socket.close(ignored);
}

tcp::endpoint Connection::local() const {
  error_code ignored;
  return watched_->socket.local_endpoint(ignored);
}

tcp::endpoint Connection::remote() const {
  error_code ignored;
  return watched_->socket.remote_endpoint(ignored);
}

}  // namespace grove
