// One HTTP call as values: to whom, what is asked, what came back.
// Threads: values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
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
  std::string target = {};  // path and query, already encoded
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string content_type = {};         // empty: no body
  std::span<std::byte const> body = {};  // must live until the call returns
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

}  // namespace grove
