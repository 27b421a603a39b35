#include "net/http_exchange.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "net/network_error.h"
#include "net/url.h"

namespace grove {
namespace {

constexpr std::size_t piece_bytes = 64 * limits::kib;

bool is_interim(unsigned status) {
  return status / 100 == 1 && status != static_cast<unsigned>(http::status::switching_protocols);
}

}  // namespace

HttpExchange::HttpExchange(Connection& connection, Endpoint const& endpoint, HttpCall const& call,
                           ReplySink const& sink, HttpTraffic& traffic)
    : connection_(connection), endpoint_(endpoint), call_(call), sink_(sink), traffic_(traffic) {}

Awaitable<Result<HttpReply>> HttpExchange::run() {
  auto const not_sent = co_await send();
  if (not_sent) {
    // A server that refuses a body may answer and close before it has read it all. Its answer says
    // more than "broken pipe".
    bool const may_answer = not_sent != asio::error::operation_aborted &&
                            (not_sent != asio::error::timed_out || connection_.has_input());
    if (!may_answer) co_return error_of(not_sent);
  }
  auto reply = co_await read_reply();
  if (not_sent) {
    can_reuse_ = false;
    if (!reply && reply.error().kind == ErrorKind::unavailable) co_return error_of(not_sent);
  }
  co_return reply;
}

bool HttpExchange::was_dead() const {
  return !has_answer_ && failure_ && failure_ != asio::error::timed_out &&
         failure_ != asio::error::operation_aborted;
}

Awaitable<error_code> HttpExchange::send() {
  auto const head = request_head();
  Connection::Parts const parts{bytes_of(head), call_.body};
  auto const sent = co_await connection_.write(parts, call_.idle_timeout);
  traffic_.sent += std::max(sent.size, head.size()) - head.size();
  co_return sent.error;
}

std::string HttpExchange::request_head() const {
  // A zone ("fe80::1%eth0") means something on this machine only.
  auto const host = endpoint_.host.substr(0, endpoint_.host.find('%'));
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", std::string_view(http::to_string(call_.method)),
                  call_.target, join_host_port(host, endpoint_.port));
  auto const add = [&text](std::string_view name, auto const& value) {
    fmt::format_to(std::back_inserter(text), "{}: {}\r\n", name, value);
  };
  if (!call_.content_type.empty()) add("Content-Type", call_.content_type);
  bool const may_lack_length = call_.method == http::verb::get || call_.method == http::verb::head;
  if (!call_.body.empty() || !may_lack_length) add("Content-Length", call_.body.size());
  for (auto const& [name, value] : call_.headers) add(name, value);
  return text + "\r\n";
}

Awaitable<Result<HttpReply>> HttpExchange::read_reply() {
  std::optional<HttpParser<false>> parser;
  do {
    parser.emplace();
    auto const error = co_await read_head(*parser);
    if (error) co_return error_of(error);
  } while (is_interim(parser->head().result_int()));

  HttpReply reply;
  reply.status = parser->head().result_int();
  reply.content_type = parser->header("Content-Type").value_or("");
  BodyReader<false> reader(connection_, *parser, BodyPace{call_.idle_timeout});
  if (sink_ && reply.is_success()) {
    CO_TRY(co_await hand_on(reader));
  } else {
    auto whole = co_await reader.read_whole(call_.reply_bytes_max);
    traffic_.received += reader.bytes_read();
    if (whole.error) co_return error_of(whole.error);
    reply.body = std::move(whole.bytes);
  }
  can_reuse_ = parser->keeps_alive() && connection_.received().empty();
  co_return reply;
}

Awaitable<error_code> HttpExchange::read_head(HttpParser<false>& parser) {
  for (;;) {
    auto const step = parser.put_head(connection_.received());
    connection_.consume(step.used);
    if (step.error || parser.has_head()) co_return step.error;
    auto const error = co_await connection_.receive(deadline());
    if (error) co_return error;
    has_answer_ = true;
  }
}

Awaitable<Result<void>> HttpExchange::hand_on(BodyReader<false>& reader) {
  Buffer piece(piece_bytes);
  for (;;) {
    auto const read = co_await reader.read_some(piece.span());
    traffic_.received += read.size;
    if (read.size > 0) {
      CO_TRY(co_await sink_(piece.span().first(read.size)));
    }
    if (read.error) co_return error_of(read.error);
    if (read.size == 0) co_return ok();
  }
}

Error HttpExchange::error_of(error_code error) {
  failure_ = error;
  auto const where = endpoint_.text();
  if (error == http::error::body_limit) {
    return fail(ErrorKind::internal, "{}: its answer is longer than {} bytes", where,
                call_.reply_bytes_max);
  }
  if (error == asio::error::eof && !has_answer_) {
    return fail(ErrorKind::unavailable, "{}: connection closed without an answer", where);
  }
  return network_error(error, where, call_.idle_timeout);
}

Connection::Clock::time_point HttpExchange::deadline() const {
  return Connection::Clock::now() + call_.idle_timeout;
}

}  // namespace grove
