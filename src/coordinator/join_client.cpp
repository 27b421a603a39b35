#include "coordinator/join_client.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "coordinator/discovery.h"
#include "net/host_label.h"
#include "net/http_client.h"
#include "net/mdns.h"
#include "transfer/worker_messages.h"

namespace grove {
namespace {

// A whole config as one JSON text, escapes included.
constexpr std::uint64_t line_bytes_max = 8 * limits::config_bytes_max;

class JoinLines {
 public:
  explicit JoinLines(std::function<void(JoinProgress const&)> on_progress)
      : on_progress_(std::move(on_progress)) {}

  Result<void> take(std::span<std::byte const> bytes) {
    pending_.append(text_of(bytes));
    std::size_t begin = 0;
    for (auto end = pending_.find('\n'); end != std::string::npos;
         end = pending_.find('\n', begin)) {
      TRY(take_line(std::string_view(pending_).substr(begin, end - begin)));
      begin = end + 1;
    }
    pending_.erase(0, begin);
    if (pending_.size() > line_bytes_max) {
      return fail(ErrorKind::internal, "the coordinator sent a line of more than {} bytes",
                  line_bytes_max);
    }
    return ok();
  }
  std::optional<JoinGrant> grant;

 private:
  Result<void> take_line(std::string_view line) {
    if (line.empty()) return ok();  // a heartbeat
    TRY(auto parsed, parse_join_line(line));
    if (parsed.progress) on_progress_(*parsed.progress);
    if (parsed.grant) grant = std::move(parsed.grant);
    return ok();
  }

  std::function<void(JoinProgress const&)> on_progress_;
  std::string pending_;
};

struct Sighted {
  std::string host;
  asio::ip::address address;
  std::uint16_t port = 0;
};

std::string host_of(MdnsSighting const& sighting) {
  auto const text = sighting.txt.find("host");
  return printable(text == sighting.txt.end() ? sighting.instance : text->second);
}

}  // namespace

Awaitable<Result<std::vector<WaitingMaster>>> find_masters(std::chrono::milliseconds timeout) {
  auto const executor = co_await asio::this_coro::executor;
  // Port 0 is nobody's: the name is only of use while we look.
  CO_TRY(auto const mdns, Mdns::start(executor, mdns_host_label(machine_name(), 0)));
  std::map<std::string, Sighted> sighted;  // by instance
  auto const on_sighting = [&](MdnsSighting const& sighting) {
    // Joins come in over IPv4 (JoinDesk::Options).
    if (!sighting.address.is_v4()) return true;
    auto const [known, is_new] = sighted.try_emplace(
        sighting.instance, Sighted{host_of(sighting), sighting.address, sighting.port});
    if (!is_new && is_better_address(sighting.address, known->second.address)) {
      known->second = {host_of(sighting), sighting.address, sighting.port};
    }
    return true;
  };
  auto browsed = co_await mdns->browse(master_service_type, timeout, on_sighting);
  co_await mdns->stop();
  if (browsed.has_error()) co_return std::move(browsed).error();
  std::vector<WaitingMaster> masters;
  for (auto const& [instance, master] : sighted) {
    masters.push_back(
        {.host = master.host,
         .endpoint = {
             .host = master.address.to_string(), .port = master.port, .name = master.host}});
  }
  co_return masters;
}

Awaitable<Result<JoinGrant>> join_master(Endpoint master, JoinRequest request,
                                         std::function<void(JoinProgress const&)> on_progress) {
  auto const body = serialize_join(request);
  HttpCall call;
  call.method = http::verb::post;
  call.target = "/join";
  call.content_type = "application/json";
  call.body = bytes_of(body);
  JoinLines lines(std::move(on_progress));
  ReplySink const sink = [&lines](std::span<std::byte const> bytes) -> Awaitable<Result<void>> {
    co_return lines.take(bytes);
  };
  HttpClient http(co_await asio::this_coro::executor);
  auto const reply = co_await http.call_streamed(master, std::move(call), sink);
  http.close_idle();
  if (reply.has_error()) co_return reply.error();
  if (!reply.value().is_success()) {
    co_return parse_error_reply(reply.value().status, reply.value().text());
  }
  if (!lines.grant) {
    co_return fail(ErrorKind::unavailable, "{}: stopped waiting for workers", master.text());
  }
  co_return std::move(*lines.grant);
}

}  // namespace grove
