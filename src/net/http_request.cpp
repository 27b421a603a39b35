#include "net/http_request.h"

#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/network_error.h"

namespace grove {
namespace {

// Skipping this much costs less than a new connection.
constexpr std::uint64_t skip_bytes_max = 64 * limits::kib;

constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

HttpRequest::HttpRequest(Connection& connection, HttpParser<true>& parser, Target target,
                         std::vector<std::string> args, BodyPace pace)
    : connection_(connection),
      parser_(parser),
      target_(std::move(target)),
      args_(std::move(args)),
      pace_(pace),
      body_(connection, parser, pace),
      content_length_(parser.head().has_content_length() ? parser.body_bytes() : std::nullopt) {}

http::verb HttpRequest::method() const {
  return parser_.head().method();
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  return parser_.header(name);
}

std::string HttpRequest::remote_address() const {
  auto const remote = connection_.remote();
  return join_host_port(remote.address().to_string(), remote.port());
}

Awaitable<Result<Buffer>> HttpRequest::read_body(std::uint64_t bytes_max) {
  GROVE_ASSERT(!body_taken_);
  if (content_length_.value_or(0) > bytes_max) {
    co_return body_error(http::error::body_limit, bytes_max);
  }
  body_taken_ = true;
  if (expects_continue()) {
    Connection::Parts const parts{bytes_of(go_on)};
    auto const sent = co_await connection_.write(parts, pace_.idle_timeout);
    if (sent.error) co_return body_error(sent.error, bytes_max);
  }
  auto whole = co_await body_.read_whole(bytes_max);
  if (whole.error) co_return body_error(whole.error, bytes_max);
  co_return std::move(whole.bytes);
}

Error HttpRequest::body_error(error_code error, std::uint64_t bytes_max) const {
  auto const read = body_.bytes_read();
  if (error == http::error::body_limit) {
    return fail(ErrorKind::invalid, "request body: longer than the {} bytes allowed here",
                bytes_max);
  }
  if (error == http::error::partial_message) {
    return fail(ErrorKind::invalid, "request body: ended after {} bytes, before its announced end",
                read);
  }
  auto const where = fmt::format("request body from {}", remote_address());
  if (error == asio::error::timed_out) {
    return fail(ErrorKind::unavailable, "{}: too slow: cut off after {} bytes", where, read);
  }
  auto translated = network_error(error, where, pace_.idle_timeout);
  if (translated.kind == ErrorKind::internal) translated.kind = ErrorKind::invalid;  // theirs
  return translated;
}

bool HttpRequest::expects_continue() const {
  auto const expect = parser_.header("Expect");
  return expect && beast::iequals(*expect, "100-continue") && has_unread_body();
}

bool HttpRequest::can_skip_rest() const {
  if (!has_unread_body()) return true;
  // A client that was not told to go on may send its body or not: the bytes that follow would be
  // taken for the one or the other by guessing.
  if (expects_continue() && !body_taken_) return false;
  return body_.rest().value_or(0) <= skip_bytes_max;
}

Awaitable<bool> HttpRequest::skip_rest() {
  if (!can_skip_rest()) co_return false;
  std::array<std::byte, 8 * limits::kib> scrap;
  auto const from = body_.bytes_read();
  while (has_unread_body()) {
    auto const read = co_await body_.read_some(scrap);
    if (read.error || body_.bytes_read() - from > skip_bytes_max) co_return false;
  }
  co_return true;
}

}  // namespace grove
