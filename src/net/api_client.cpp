#include "net/api_client.h"

#include <chrono>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/limits.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

// A running job says something every progress_period.
constexpr std::chrono::milliseconds stream_timeout = 4 * limits::progress_period;
constexpr std::chrono::milliseconds reply_timeout = 30s;
constexpr std::uint64_t reply_bytes_max = 256 * limits::mib;

Error refusal(HttpReply const& reply) {
  constexpr unsigned unavailable_status = 503;
  auto const kind =
      reply.status == unavailable_status ? ErrorKind::unavailable : ErrorKind::invalid;
  auto const document = nlohmann::json::parse(reply.text(), nullptr, false);
  if (document.is_object() && document.contains("detail") && document["detail"].is_string()) {
    return fail(kind, "{}", document["detail"].get<std::string>());
  }
  return fail(ErrorKind::internal, "the API answered with status {}", reply.status);
}

Error no_api(Error const& cause) {
  if (cause.kind != ErrorKind::unavailable) return cause;
  return fail(ErrorKind::unavailable, "{}; is the API running there? start it with: grove start",
              cause.message);
}

}  // namespace

ApiClient::ApiClient(asio::any_io_executor executor, Endpoint api)
    : http_(std::move(executor)), api_(std::move(api)) {}

Awaitable<Result<void>> ApiClient::stream_lines(std::string target,
                                                std::function<void(std::string_view)> on_line,
                                                http::verb method) {
  std::string pending;
  ReplySink const sink = [&](std::span<std::byte const> bytes) -> Awaitable<Result<void>> {
    pending.append(text_of(bytes));
    std::size_t begin = 0;
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', begin)) {
      on_line(std::string_view(pending).substr(begin, end - begin));
      begin = end + 1;
    }
    pending.erase(0, begin);
    co_return ok();
  };
  HttpCall call;
  call.method = method;
  call.target = std::move(target);
  call.idle_timeout = stream_timeout;
  auto reply = co_await http_.call_streamed(api_, std::move(call), sink);
  if (reply.has_error()) co_return no_api(reply.error());
  if (!reply.value().is_success()) co_return refusal(reply.value());
  if (!pending.empty()) on_line(pending);
  co_return ok();
}

Awaitable<Result<std::string>> ApiClient::put(std::string target, std::string_view json) {
  HttpCall call;
  call.method = http::verb::put;
  call.target = std::move(target);
  call.content_type = "application/json";
  call.body = bytes_of(json);
  call.idle_timeout = reply_timeout;
  auto reply = co_await http_.call(api_, std::move(call));
  if (reply.has_error()) co_return no_api(reply.error());
  if (!reply.value().is_success()) co_return refusal(reply.value());
  co_return std::string(reply.value().text());
}

Awaitable<Result<std::string>> ApiClient::get(std::string target,
                                              std::chrono::milliseconds work_time) {
  HttpCall call;
  call.target = std::move(target);
  call.idle_timeout = reply_timeout + work_time;
  call.reply_bytes_max = reply_bytes_max;
  auto reply = co_await http_.call(api_, std::move(call));
  if (reply.has_error()) co_return no_api(reply.error());
  if (!reply.value().is_success()) co_return refusal(reply.value());
  co_return std::string(reply.value().text());
}

}  // namespace grove
