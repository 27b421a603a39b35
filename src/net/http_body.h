// Reads the body of a message whose head has been parsed, however it is framed. A body of known
// length goes from the socket straight to its place.
// Threads: one task.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "net/connection.h"
#include "net/http_parser.h"

namespace grove {

struct BodyPace {
  std::chrono::milliseconds idle_timeout;  // no byte for this long
  // On average since the beginning, after a first idle_timeout; 0: any.
  std::uint64_t bytes_per_second_min = 0;
};

template <bool is_request>
class BodyReader {
 public:
  // Both must outlive the reader; the parser has_head().
  BodyReader(Connection& connection, HttpParser<is_request>& parser, BodyPace pace);

  // Some bytes of the body; none, and no error, at its end.
  // Fails: timed_out, http::error::partial_message (the connection ended before), others.
  Awaitable<Transferred> read_some(std::span<std::byte> into);

  struct Whole {
    error_code error;
    Buffer bytes;
  };
  // All that is left. Fails also: http::error::body_limit, before reading where the length is
  // known.
  Awaitable<Whole> read_whole(std::uint64_t bytes_max);

  // Bytes still to come, where that is known.
  std::optional<std::uint64_t> rest() const { return rest_; }
  bool is_done() const { return rest_ ? *rest_ == 0 : parser_.is_done(); }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  Connection::Clock::time_point deadline();
  Awaitable<Transferred> read_known(std::span<std::byte> into);
  Awaitable<Transferred> read_coded(std::span<std::byte> into);
  Awaitable<error_code> fill(Buffer& buffer, std::size_t& size);

  Connection& connection_;
  HttpParser<is_request>& parser_;
  BodyPace pace_;
  std::optional<std::uint64_t> rest_;
  std::uint64_t bytes_read_ = 0;
  std::optional<Connection::Clock::time_point> begun_;
};

extern template class BodyReader<true>;
extern template class BodyReader<false>;

}  // namespace grove
