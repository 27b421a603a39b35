// HTTP/1.1 calls over pooled connections, every await with a deadline, bodies streamed or bounded.
// A pooled connection that turns out to be dead before any answer came is replaced once, silently:
// every call in grove is idempotent. Retries beyond that are transfer/'s business.
// Threads: everything on the executor it is given.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "net/asio.h"

namespace grove {

struct Endpoint {
  std::string host;  // an IP or a resolvable name
  std::uint16_t port = 0;
  std::string name;  // for messages: "pi4-3"

  std::string text() const;  // "pi4-3 (192.168.1.3:5003)"; without a name "192.168.1.3:5003"
  friend bool operator==(Endpoint const&, Endpoint const&) = default;
};

struct HttpCall {
  http::verb method = http::verb::get;
  std::string target;  // path and query, already encoded
  std::vector<std::pair<std::string, std::string>> headers;
  std::string content_type;             // empty: no body
  std::span<std::byte const> body;      // must live until the call returns
  std::uint64_t reply_bytes_max = limits::json_body_bytes_max;
  std::chrono::milliseconds connect_timeout = limits::connect_timeout;
  // No byte sent or received for this long is a failure.
  std::chrono::milliseconds idle_timeout = limits::idle_timeout;
};

struct HttpReply {
  unsigned status = 0;
  std::string content_type;
  Buffer body;

  bool is_success() const { return status >= 200 && status < 300; }
  std::string_view text() const;
};

// Takes the next piece of a streamed reply; the span is valid during the call. An error ends the
// call and is passed on.
using ReplySink = std::function<Awaitable<Result<void>>(std::span<std::byte const>)>;

class HttpClient {
 public:
  explicit HttpClient(asio::any_io_executor executor);
  ~HttpClient();

  // Any status is a success here. Fails: unavailable (refused, reset, deadline: the message is
  // "pi4-3 (192.168.1.3:5003): connection refused"), internal (not HTTP, reply too large),
  // cancelled.
  Awaitable<Result<HttpReply>> call(Endpoint endpoint, HttpCall call);

  // Like call(), but a 2xx body goes to `sink` piece by piece as it arrives; the returned reply has
  // no body then. A reply of another status comes whole, as with call().
  Awaitable<Result<HttpReply>> call_streamed(Endpoint endpoint, HttpCall call, ReplySink sink);

  // Bytes of request bodies and of reply bodies so far: what crossed the link, less headers.
  std::uint64_t bytes_sent() const;
  std::uint64_t bytes_received() const;

  // Closes idle connections.
  void close_idle();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Percent-encodes one path segment or query value.
std::string percent_encode(std::string_view text);

}  // namespace grove
