// An HTTP/1.1 server with a routing table: accept, limits, deadlines, keep-alive, streamed bodies.
// Knows nothing of checkpoints. Errors that a handler returns before it has sent anything become
// {"detail": "<message>", "kind": "<kind>"} with the kind's status (error_status); the error line is
// drawn here and nowhere else.
//
// Requests whose Host is not one of ours, or whose Origin is foreign, are refused (403): a web page
// in the user's browser cannot drive a coordinator or a worker (DNS rebinding, CSRF).
// Threads: everything runs on the executor it is given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/task_group.h"

namespace grove {

// The HTTP status of an error kind: STYLE's table (invalid 400, not_found 404, conflict 409,
// corrupt 422, unavailable 503, exhausted 507, others 500).
unsigned error_status(ErrorKind kind);

class HttpRequest {
 public:
  virtual ~HttpRequest() = default;
  virtual http::verb method() const = 0;
  // The path's captured segments ("{}" in the pattern), percent-decoded, in order.
  virtual std::vector<std::string> const& args() const = 0;
  // A query parameter, percent-decoded; the first of that name. nullopt where absent.
  virtual std::optional<std::string> param(std::string_view name) const = 0;
  virtual std::optional<std::string_view> header(std::string_view name) const = 0;
  virtual std::optional<std::uint64_t> content_length() const = 0;
  virtual std::string remote_address() const = 0;  // "192.168.1.7:41234"

  // Reads the whole body. Fails: invalid (longer than `bytes_max`: refused before it is read where
  // Content-Length says so; or shorter than announced), unavailable (no byte for idle_timeout, or
  // the client went away). Call at most once.
  virtual Awaitable<Result<Buffer>> read_body(std::uint64_t bytes_max) = 0;
};

class HttpResponder {
 public:
  virtual ~HttpResponder() = default;
  // One whole answer. `bytes` must live until the await returns.
  virtual Awaitable<Result<void>> send(unsigned status, std::string_view content_type,
                                       std::span<std::byte const> bytes) = 0;
  // For convenience: text and JSON answers.
  Awaitable<Result<void>> send_text(unsigned status, std::string content_type, std::string text);

  // A streamed answer: start, any number of writes, finish. With a content length the body has
  // exactly that many bytes; without, it is chunked and each write reaches the client at once.
  // `headers` are extra ones (Content-Range, Accept-Ranges).
  virtual Awaitable<Result<void>> start(
      unsigned status, std::string_view content_type, std::optional<std::uint64_t> content_length,
      std::vector<std::pair<std::string, std::string>> headers) = 0;
  virtual Awaitable<Result<void>> write(std::span<std::byte const> bytes) = 0;
  Awaitable<Result<void>> write_text(std::string text);
  virtual Awaitable<Result<void>> finish() = 0;
  virtual bool has_started() const = 0;
};

using HttpHandler = std::function<Awaitable<Result<void>>(HttpRequest&, HttpResponder&)>;

class HttpRouter {
 public:
  // `pattern`: "/chunks/{}"; "{}" matches one percent-encoded segment. A trailing slash matters.
  void add(http::verb method, std::string pattern, HttpHandler handler);

  struct Match {
    HttpHandler const* handler = nullptr;  // none: 404, or 405 where another method matches
    bool path_exists = false;
    std::vector<std::string> args;
  };
  Match match(http::verb method, std::string_view path) const;

 private:
  struct Route {
    http::verb method;
    std::vector<std::string> segments;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // an IP or a name that resolves to one; "0.0.0.0" for all
  std::uint16_t port = 0;             // 0: any free port
  // Names and addresses a request's Host may carry, beside localhost, this machine's host name and
  // the address the connection came in on.
  std::vector<std::string> hosts;
};

class HttpServer {
 public:
  HttpServer(asio::any_io_executor executor, HttpRouter router, HttpServerOptions options);
  ~HttpServer();

  // Binds and begins to accept. Fails: conflict (port in use: the message names it), invalid.
  Result<void> start();
  std::uint16_t port() const;  // after start()
  // Stops accepting, lets running requests finish for `grace`, then cuts them.
  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace grove
