#include "net/http_body.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/limits.h"

namespace grove {
namespace {

constexpr std::uint64_t first_room_bytes = 16 * limits::kib;

}  // namespace

template <bool is_request>
BodyReader<is_request>::BodyReader(Connection& connection, HttpParser<is_request>& parser,
                                   BodyPace pace)
    : connection_(connection), parser_(parser), pace_(pace), rest_(parser.body_bytes()) {}

template <bool is_request>
Connection::Clock::time_point BodyReader<is_request>::deadline() {
  auto const now = Connection::Clock::now();
  if (!begun_) begun_ = now;
  if (pace_.bytes_per_second_min == 0) return now + pace_.idle_timeout;
  std::chrono::milliseconds const earned(bytes_read_ * 1000 / pace_.bytes_per_second_min);
  return std::min(now, *begun_ + earned) + pace_.idle_timeout;
}

template <bool is_request>
Awaitable<Transferred> BodyReader<is_request>::read_some(std::span<std::byte> into) {
  if (is_done()) co_return Transferred{};
  Transferred read;
  if (rest_) {
    read = co_await read_known(into);
  } else {
    read = co_await read_coded(into);
  }
  bytes_read_ += read.size;
  co_return read;
}

template <bool is_request>
Awaitable<Transferred> BodyReader<is_request>::read_known(std::span<std::byte> into) {
  auto const wanted = std::min<std::uint64_t>(into.size(), *rest_);
  auto read = co_await connection_.read_some(into.first(wanted), deadline());
  *rest_ -= read.size;
  if (read.error == asio::error::eof) read.error = http::error::partial_message;
  co_return read;
}

template <bool is_request>
Awaitable<Transferred> BodyReader<is_request>::read_coded(std::span<std::byte> into) {
  for (;;) {
    auto const step = parser_.put_body(connection_.received(), into);
    connection_.consume(step.used);
    if (step.error || step.written > 0 || parser_.is_done()) {
      co_return Transferred{step.error, step.written};
    }
    if (step.used > 0) continue;
    auto error = co_await connection_.receive(deadline());
    if (error == asio::error::eof) {
      error = parser_.put_end();
      if (!error) co_return Transferred{};
    }
    if (error) co_return Transferred{error, 0};
  }
}

template <bool is_request>
Awaitable<typename BodyReader<is_request>::Whole> BodyReader<is_request>::read_whole(
    std::uint64_t bytes_max) {
  if (rest_ && *rest_ > bytes_max) co_return Whole{http::error::body_limit, {}};
  Buffer buffer(rest_ ? *rest_ : std::min(first_room_bytes, bytes_max));
  std::size_t size = 0;
  for (;;) {
    auto const error = co_await fill(buffer, size);
    if (error) co_return Whole{error, {}};
    if (is_done()) break;
    // Full, and more may come: one byte decides whether the body is over its limit.
    std::byte next{};
    auto const read = co_await read_some({&next, 1});
    if (read.error) co_return Whole{read.error, {}};
    if (read.size == 0) break;
    if (size == bytes_max) co_return Whole{http::error::body_limit, {}};
    Buffer larger(std::min<std::uint64_t>(bytes_max, size * 2 + 1));
    std::memcpy(larger.data(), buffer.data(), size);
    larger.data()[size++] = next;
    buffer = std::move(larger);
  }
  buffer.shrink(size);
  co_return Whole{{}, std::move(buffer)};
}

// Reads until the buffer is full or the body ends.
template <bool is_request>
Awaitable<error_code> BodyReader<is_request>::fill(Buffer& buffer, std::size_t& size) {
  while (size < buffer.size()) {
    auto const read = co_await read_some(buffer.span().subspan(size));
    size += read.size;
    if (read.error) co_return read.error;
    if (read.size == 0) break;
  }
  co_return error_code();
}

template class BodyReader<true>;
template class BodyReader<false>;

}  // namespace grove
