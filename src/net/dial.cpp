#include "net/dial.h"

#include <utility>
#include <vector>

#include "net/task_group.h"

namespace grove {
namespace {

using TimePoint = Connection::Clock::time_point;

// A look-up runs on a thread of Asio's that nothing can interrupt: when we no longer wait for it,
// this stays behind until it ends.
struct Lookup {
  explicit Lookup(asio::any_io_executor const& executor) : resolver(executor), ended(executor) {}

  tcp::resolver resolver;
  asio::steady_timer ended;
  error_code error = asio::error::timed_out;
  std::vector<tcp::endpoint> found;
};

struct Resolved {
  error_code error;
  std::vector<tcp::endpoint> endpoints;
};

Awaitable<Resolved> resolve(asio::any_io_executor executor, std::string host, std::uint16_t port,
                            TimePoint deadline) {
  error_code not_an_address;
  auto const address = asio::ip::make_address(host, not_an_address);
  if (!not_an_address) co_return Resolved{{}, {tcp::endpoint(address, port)}};

  auto const lookup = std::make_shared<Lookup>(executor);
  lookup->ended.expires_at(deadline);
  auto on_end = [lookup](error_code error, tcp::resolver::results_type const& results) {
    lookup->error = error;
    for (auto const& entry : results) lookup->found.push_back(entry.endpoint());
    lookup->ended.cancel();
  };
  lookup->resolver.async_resolve(host, std::to_string(port), std::move(on_end));
  std::ignore = co_await lookup->ended.async_wait(as_result);  // the look-up says how it ended
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return Resolved{asio::error::operation_aborted, {}};
  co_return Resolved{lookup->error, std::move(lookup->found)};
}

}  // namespace

Awaitable<Dialled> dial(asio::any_io_executor executor, std::string host, std::uint16_t port,
                        std::chrono::milliseconds timeout) {
  auto const deadline = Connection::Clock::now() + timeout;
  auto const resolved = co_await resolve(executor, std::move(host), port, deadline);
  error_code error = resolved.error ? resolved.error : asio::error::host_not_found;
  auto left = static_cast<int>(resolved.endpoints.size());
  for (auto const& endpoint : resolved.endpoints) {
    // Each gets its share of the time, or a first address that swallows everything would be all.
    auto const now = Connection::Clock::now();
    auto const until = now + (deadline - now) / left--;
    auto connection = std::make_unique<Connection>(executor);
    error = co_await connection->connect(endpoint, until);
    if (!error) co_return Dialled{{}, std::move(connection)};
    if (error == asio::error::operation_aborted) break;
  }
  co_return Dialled{error, nullptr};
}

}  // namespace grove
