// One request as its handler sees it. Lives as long as the handler's call.
// Threads: the connection's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/connection.h"
#include "net/http_body.h"
#include "net/http_parser.h"
#include "net/url.h"

namespace grove {

class HttpRequest {
 public:
  // `connection` and `parser`, whose head is complete, must outlive the request.
  HttpRequest(Connection& connection, HttpParser<true>& parser, Target target,
              std::vector<std::string> args, BodyPace pace);
  HttpRequest(HttpRequest const&) = delete;
  HttpRequest& operator=(HttpRequest const&) = delete;

  http::verb method() const;
  // The path's captured segments ("{}" in the pattern), percent-decoded, in order.
  std::vector<std::string> const& args() const { return args_; }
  // A query parameter, percent-decoded; the first of that name. nullopt where absent.
  std::optional<std::string> param(std::string_view name) const { return target_.param(name); }
  std::optional<std::string_view> header(std::string_view name) const;
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  std::string remote_address() const;  // "192.168.1.7:41234"

  // Reads the whole body. Fails: invalid (longer than `bytes_max`: refused before it is read where
  // Content-Length says so; or shorter than announced), unavailable (no byte for idle_timeout, or
  // the client went away), cancelled. Call at most once.
  Awaitable<Result<Buffer>> read_body(std::uint64_t bytes_max);

 private:
  friend class HttpSession;

  bool expects_continue() const;
  // Whether the next request can follow on this connection, once what is unread is skipped.
  bool can_skip_rest() const;
  bool has_unread_body() const { return !body_.is_done(); }
  // Reads and drops what the handler left. False: the connection is of no more use.
  Awaitable<bool> skip_rest();
  Error body_error(error_code error, std::uint64_t bytes_max) const;

  Connection& connection_;
  HttpParser<true>& parser_;
  Target target_;
  std::vector<std::string> args_;
  BodyPace pace_;
  BodyReader<true> body_;
  std::optional<std::uint64_t> content_length_;
  bool body_taken_ = false;
};

}  // namespace grove
