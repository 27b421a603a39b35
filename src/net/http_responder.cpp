#include "net/http_responder.h"

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "net/network_error.h"
#include "net/url.h"

namespace grove {
namespace {

bool is_one_line(std::string_view text) {
  return text.find_first_of("\r\n") == text.npos;
}

constexpr unsigned no_content = 204;

}  // namespace

HttpResponder::HttpResponder(Connection& connection, Terms terms)
    : connection_(connection), terms_(std::move(terms)) {}

Awaitable<Result<void>> HttpResponder::send(unsigned status, std::string_view content_type,
                                            std::span<std::byte const> bytes) {
  auto const text = head(status, content_type, bytes.size(), {});
  CO_TRY(co_await transmit({bytes_of(text), bytes}));
  bytes_sent_ += bytes.size();
  is_finished_ = true;
  co_return ok();
}

Awaitable<Result<void>> HttpResponder::send_text(unsigned status, std::string content_type,
                                                 std::string text) {
  co_return co_await send(status, content_type, bytes_of(text));
}

Awaitable<Result<void>> HttpResponder::start(unsigned status, std::string_view content_type,
                                             std::optional<std::uint64_t> content_length,
                                             Headers headers) {
  auto const text = head(status, content_type, content_length, headers);
  co_return co_await transmit({bytes_of(text)});
}

Awaitable<Result<void>> HttpResponder::write(std::span<std::byte const> bytes) {
  GROVE_ASSERT(has_started_ && !is_finished_);
  if (bytes.empty()) co_return ok();  // an empty chunk would end the body
  if (framing_ == Framing::chunked) {
    auto const size = fmt::format("{:x}\r\n", bytes.size());
    CO_TRY(co_await transmit({bytes_of(size), bytes, bytes_of("\r\n")}));
    bytes_sent_ += bytes.size();
    co_return ok();
  }
  if (framing_ == Framing::known_length) {
    GROVE_ASSERT(bytes.size() <= rest_);
    rest_ -= bytes.size();
  }
  CO_TRY(co_await transmit({bytes}));
  bytes_sent_ += bytes.size();
  co_return ok();
}

Awaitable<Result<void>> HttpResponder::write_text(std::string text) {
  co_return co_await write(bytes_of(text));
}

Awaitable<Result<void>> HttpResponder::finish() {
  GROVE_ASSERT(has_started_ && !is_finished_);
  GROVE_ASSERT(framing_ != Framing::known_length || rest_ == 0);
  if (framing_ == Framing::chunked) {
    CO_TRY(co_await transmit({bytes_of("0\r\n\r\n")}));
  }
  is_finished_ = true;
  co_return ok();
}

std::string HttpResponder::head(unsigned status, std::string_view content_type,
                                std::optional<std::uint64_t> content_length,
                                Headers const& headers) {
  GROVE_ASSERT(!has_started_);
  GROVE_ASSERT(is_one_line(content_type));
  has_started_ = true;
  keeps_alive_ = terms_.may_keep_alive();
  rest_ = content_length.value_or(0);
  if (!content_length) framing_ = terms_.is_http_1_0 ? Framing::until_close : Framing::chunked;
  if (framing_ == Framing::until_close) keeps_alive_ = false;

  auto const reason = http::obsolete_reason(http::int_to_status(status));
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, std::string_view(reason));
  auto const add = [&text](std::string_view name, auto const& value) {
    fmt::format_to(std::back_inserter(text), "{}: {}\r\n", name, value);
  };
  if (!content_type.empty()) add("Content-Type", content_type);
  if (content_length && status != no_content) add("Content-Length", *content_length);
  if (framing_ == Framing::chunked) add("Transfer-Encoding", "chunked");
  if (!keeps_alive_) {
    add("Connection", "close");
  } else if (terms_.is_http_1_0) {
    add("Connection", "keep-alive");
  }
  for (auto const& [name, value] : headers) {
    GROVE_ASSERT(is_one_line(name) && is_one_line(value));
    add(name, value);
  }
  return text + "\r\n";
}

Awaitable<Result<void>> HttpResponder::transmit(Connection::Parts parts) {
  auto const sent = co_await connection_.write(parts, terms_.write_timeout);
  if (!sent.error) co_return ok();
  auto const remote = connection_.remote();
  auto const where =
      fmt::format("answer to {}", join_host_port(remote.address().to_string(), remote.port()));
  auto error = network_error(sent.error, where, terms_.write_timeout);
  if (sent.error != asio::error::timed_out) error.kind = ErrorKind::cancelled;  // the client left
  co_return error;
}

}  // namespace grove
