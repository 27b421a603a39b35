#include "net/http_client.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "net/connection_pool.h"
#include "net/dial.h"
#include "net/http_exchange.h"
#include "net/network_error.h"

namespace grove {
namespace {

bool is_plain(unsigned char c) {
  return c > 0x20 && c < 0x7f;
}

bool is_one_line(std::string_view text) {
  return text.find_first_of("\r\n") == text.npos;
}

// What would break the head apart must not get into it.
Result<void> check(Endpoint const& endpoint, HttpCall const& call) {
  auto const& target = call.target;
  if (!target.starts_with('/') || !std::ranges::all_of(target, is_plain)) {
    return fail(ErrorKind::invalid, "{}: not a request target: {}", endpoint.text(), target);
  }
  bool const headers_fit = std::ranges::all_of(call.headers, [](auto const& header) {
    return is_one_line(header.first) && is_one_line(header.second);
  });
  if (!headers_fit || !is_one_line(call.content_type) ||
      !std::ranges::all_of(endpoint.host, is_plain)) {
    return fail(ErrorKind::invalid, "{}: a header with a line break", endpoint.text());
  }
  return ok();
}

}  // namespace

struct HttpClient::State {
  explicit State(asio::any_io_executor on) : executor(std::move(on)) {}

  static Awaitable<Result<HttpReply>> perform(std::shared_ptr<State> self, Endpoint endpoint,
                                              HttpCall call, ReplySink sink);

  asio::any_io_executor executor;
  ConnectionPool pool;
  HttpTraffic traffic;
};

HttpClient::HttpClient(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

HttpClient::~HttpClient() {
  close_idle();
}

Awaitable<Result<HttpReply>> HttpClient::State::perform(std::shared_ptr<State> self,
                                                        Endpoint endpoint, HttpCall call,
                                                        ReplySink sink) {
  CO_TRY(check(endpoint, call));
  auto const place = join_host_port(endpoint.host, endpoint.port);
  auto connection = self->pool.take(place);
  bool is_fresh = connection == nullptr;
  for (;;) {
    if (is_fresh) {
      auto dialled =
          co_await dial(self->executor, endpoint.host, endpoint.port, call.connect_timeout);
      if (dialled.error) {
        co_return network_error(dialled.error, endpoint.text(), call.connect_timeout);
      }
      connection = std::move(dialled.connection);
    }
    HttpExchange exchange(*connection, endpoint, call, sink, self->traffic);
    auto reply = co_await exchange.run();
    if (!reply && exchange.was_dead() && !is_fresh) {
      is_fresh = true;
      continue;
    }
    if (exchange.can_reuse()) self->pool.put(place, std::move(connection));
    co_return reply;
  }
}

Awaitable<Result<HttpReply>> HttpClient::call(Endpoint endpoint, HttpCall call) {
  return State::perform(state_, std::move(endpoint), std::move(call), {});
}

Awaitable<Result<HttpReply>> HttpClient::call_streamed(Endpoint endpoint, HttpCall call,
                                                       ReplySink sink) {
  GROVE_ASSERT(sink != nullptr);
  return State::perform(state_, std::move(endpoint), std::move(call), std::move(sink));
}

HttpTraffic HttpClient::traffic() const {
  return state_->traffic;
}

void HttpClient::close_idle() {
  state_->pool.clear();
}

std::string Endpoint::text() const {
  auto const where = join_host_port(host, port);
  return name.empty() ? where : fmt::format("{} ({})", name, where);
}

std::string_view HttpReply::text() const {
  return text_of(body);
}

}  // namespace grove
