#include "net/http_session.h"

#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "net/http_error.h"
#include "net/url.h"

namespace grove {

// Why a request is answered without its handler.
struct HttpSession::Refusal {
  unsigned status = 0;
  Error error;
  HttpResponder::Headers headers;

  static Refusal of(Error reason) {
    auto const status = error_status(reason.kind);
    return {status, std::move(reason), {}};
  }
};

namespace {

constexpr unsigned forbidden = 403;
constexpr unsigned method_not_allowed = 405;
constexpr unsigned request_timeout = 408;
constexpr unsigned head_too_large = 431;

std::string joined(std::vector<http::verb> const& methods) {
  std::string text;
  for (auto const method : methods) {
    if (!text.empty()) text += ", ";
    text += std::string_view(http::to_string(method));
  }
  return text;
}

bool is_http_1_0(HttpParser<true> const& parser) {
  return parser.head().version() < 11;
}

Awaitable<Result<void>> send_error(HttpResponder& responder, unsigned status, Error const& error,
                                   HttpResponder::Headers headers) {
  auto const body = error_body(error);
  CO_TRY(co_await responder.start(status, "application/json", body.size(), std::move(headers)));
  CO_TRY(co_await responder.write(bytes_of(body)));
  co_return co_await responder.finish();
}

}  // namespace

HttpSession::HttpSession(tcp::socket socket, HttpService& service, Admission admission)
    : connection_(std::move(socket)), service_(service), admission_(admission) {}

Awaitable<void> HttpSession::run() {
  bool again = true;
  while (again && !service_.is_stopping) again = co_await serve_one();
  is_idle_ = true;
  if (must_linger_) {
    co_await connection_.linger(Connection::Clock::now() + service_.deadlines.linger);
  }
  connection_.close();
}

// True: another request may follow.
Awaitable<bool> HttpSession::serve_one() {
  HttpParser<true> parser;
  auto const error = co_await read_head(parser);
  if (error) co_return co_await answer_bad_head(parser, error);

  auto refusal = refuse(parser);
  auto target = parse_target(parser.head().target());
  HttpRouter::Match match;
  if (target && !refusal) {
    match = service_.router.match(parser.head().method(), target.value().path);
  }
  if (!refusal && !target) refusal = Refusal::of(std::move(target.error()));
  if (!refusal && !match.path_exists) {
    refusal =
        Refusal::of(fail(ErrorKind::not_found, "{}: there is nothing here", target.value().path));
  }
  if (!refusal && match.handler == nullptr) {
    auto const allowed = joined(match.allowed);
    auto const method = parser.head().method_string();
    refusal = Refusal{method_not_allowed,
                      fail(ErrorKind::invalid, "{}: no {} here; allowed: {}", target.value().path,
                           std::string_view(method), allowed),
                      {{"Allow", allowed}}};
  }

  auto const& deadlines = service_.deadlines;
  HttpRequest request(connection_, parser, target ? std::move(target.value()) : Target{},
                      std::move(match.args),
                      BodyPace{deadlines.body_idle, deadlines.body_bytes_per_second_min});
  HttpResponder responder(connection_,
                          terms(parser, [&request] { return request.can_skip_rest(); }));
  co_await handle(match.handler, request, responder, std::move(refusal));
  service_.traffic.sent += responder.bytes_sent();
  service_.traffic.received += request.body_.bytes_read();
  must_linger_ = responder.is_finished() && request.has_unread_body();
  if (!responder.is_finished() || !responder.keeps_alive()) co_return false;
  bool const skipped = co_await request.skip_rest();
  must_linger_ = !skipped;
  co_return skipped;
}

Awaitable<error_code> HttpSession::read_head(HttpParser<true>& parser) {
  error_code error;
  if (connection_.received().empty()) {
    is_idle_ = true;
    error = co_await connection_.receive(Connection::Clock::now() + service_.deadlines.keep_alive);
    // Nothing was asked, so there is nothing to answer.
    if (error) co_return asio::error::eof;
  }
  is_idle_ = false;
  auto const deadline = Connection::Clock::now() + service_.deadlines.head;
  for (;;) {
    auto const step = parser.put_head(connection_.received());
    connection_.consume(step.used);
    if (step.error || parser.has_head()) co_return step.error;
    error = co_await connection_.receive(deadline);
    if (error) co_return error;
  }
}

Awaitable<bool> HttpSession::answer_bad_head(HttpParser<true> const& parser, error_code error) {
  bool const is_bad_http = error.category() == error_code(http::error::bad_method).category();
  Refusal refusal;
  if (error == asio::error::timed_out) {
    refusal = {
        request_timeout, fail(ErrorKind::unavailable, "the request's head came too slowly"), {}};
  } else if (error == http::error::header_limit || error == asio::error::no_buffer_space) {
    refusal = {head_too_large,
               fail(ErrorKind::invalid, "the request's head is larger than {} bytes",
                    limits::http_header_bytes_max),
               {}};
  } else if (is_bad_http) {
    refusal =
        Refusal::of(fail(ErrorKind::invalid, "not a valid HTTP request: {}", error.message()));
  } else {
    co_return false;  // the client left, or we stop
  }
  HttpResponder responder(connection_, terms(parser, [] { return false; }));
  auto const sent = co_await send_error(responder, refusal.status, refusal.error, {});
  must_linger_ = sent.has_value() && error != asio::error::timed_out;
  co_return false;
}

std::optional<HttpSession::Refusal> HttpSession::refuse(HttpParser<true> const& parser) const {
  if (admission_ == Admission::refused) {
    return Refusal::of(fail(ErrorKind::unavailable, "too many connections; try again later"));
  }
  auto const local = connection_.local().address();
  auto const host = parser.header("Host");
  auto const hosts_count = parser.head().count("Host");
  if (!host && (hosts_count > 0 || !is_http_1_0(parser))) {
    return Refusal::of(fail(ErrorKind::invalid,
                            "an HTTP/1.1 request carries one Host header, "
                            "this one {}",
                            hosts_count));
  }
  if (host && !service_.hosts.allows_host(*host, local)) {
    return Refusal{forbidden,
                   fail(ErrorKind::invalid,
                        "Host {}: not one of this server's names; "
                        "use its address or add the name to its hosts",
                        *host),
                   {}};
  }
  auto const origin = parser.header("Origin");
  if (parser.head().count("Origin") > 0 &&
      !(origin && service_.hosts.allows_origin(*origin, local))) {
    return Refusal{forbidden,
                   fail(ErrorKind::invalid, "Origin {}: a foreign page may not use this server",
                        origin.value_or("")),
                   {}};
  }
  return std::nullopt;
}

Awaitable<void> HttpSession::handle(HttpHandler const* handler, HttpRequest& request,
                                    HttpResponder& responder, std::optional<Refusal> refusal) {
  if (!refusal) {
    auto const handled = co_await (*handler)(request, responder);
    if (handled && responder.is_finished()) co_return;
    auto error = handled ? fail(ErrorKind::internal, "its handler did not finish the answer")
                         : handled.error();
    if (error.kind == ErrorKind::internal) {
      spdlog::error("{} failed: {}", request.target_.path, error.message);
    }
    // After the first byte of an answer only a broken connection can say that it is not whole.
    if (responder.has_started() || error.kind == ErrorKind::cancelled) co_return;
    refusal = Refusal::of(std::move(error));
  }
  // A client that is gone does not need its answer.
  std::ignore =
      co_await send_error(responder, refusal->status, refusal->error, std::move(refusal->headers));
}

HttpResponder::Terms HttpSession::terms(HttpParser<true> const& parser,
                                        std::function<bool()> can_go_on) const {
  bool const wanted = parser.has_head() && parser.keeps_alive() && admission_ == Admission::served;
  return {.is_http_1_0 = parser.has_head() && is_http_1_0(parser),
          .write_timeout = service_.deadlines.write_idle,
          .may_keep_alive = [this, wanted, can_go_on = std::move(can_go_on)] {
            return wanted && !service_.is_stopping && can_go_on();
          }};
}

}  // namespace grove
