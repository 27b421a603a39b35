// grove discover: the workers that answer on this network, as a table or as JSON.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "net/api_client.h"
#include "net/api_reply.h"
#include "net/url.h"

namespace grove {
namespace {

Awaitable<void> fetch(Endpoint endpoint, double timeout_s, Result<std::string>& reply) {
  ApiClient api(co_await asio::this_coro::executor, endpoint);
  std::chrono::duration<double> const timeout(timeout_s);
  auto const limit = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  reply = co_await api.get(fmt::format("/discover?timeout={}", timeout_s), limit);
}

bool is_row(nlohmann::json const& row) {
  auto const is_number = [&](char const* name, std::uint64_t max) {
    auto const number = field<std::uint64_t>(row, name);
    return number && *number <= max;
  };
  return row.is_object() && field<std::string>(row, "ip") && field<std::string>(row, "hostname") &&
         is_number("port", std::numeric_limits<std::uint16_t>::max()) &&
         is_number("rank", std::numeric_limits<std::uint32_t>::max());
}

void print_table(nlohmann::json const& workers) {
  if (workers.empty()) {
    fmt::print(stderr,
               "no worker answers on this network; check that workers run and that multicast "
               "passes (docs/operations.md)\n");
    return;
  }
  fmt::print("{:>4}  {:<24} {}\n", "RANK", "HOST", "ADDRESS");
  for (auto const& worker : workers) {
    auto const address =
        join_host_port(worker["ip"].get<std::string>(), worker["port"].get<std::uint16_t>());
    fmt::print("{:>4}  {:<24} {}\n", worker["rank"].get<std::uint32_t>(),
               printable(worker["hostname"].get<std::string>()), printable(address));
  }
}

}  // namespace

int run_discover(ConfigPath const& config, DiscoverOptions const& options) {
  Result<std::string> reply = fail(ErrorKind::internal, "nothing was asked");
  auto endpoint = api_endpoint(config);
  if (endpoint.has_error()) {
    reply = std::move(endpoint).error();
  } else {
    asio::io_context io(1);
    bool const finished =
        run_interruptible(io, "discover", fetch(endpoint.value(), options.timeout_s, reply));
    if (!finished) return interrupted_status;
  }
  if (reply.has_error()) {
    fmt::print(stderr, "ERROR: {}\n", reply.error().message);
    return EXIT_FAILURE;
  }
  auto const document = nlohmann::json::parse(reply.value(), nullptr, false);
  auto const* const workers = rows_of(document, "workers");
  if (workers == nullptr || !std::all_of(workers->begin(), workers->end(), is_row)) {
    fmt::print(stderr, "ERROR: /discover did not answer with a list of workers\n");
    return EXIT_FAILURE;
  }
  if (options.form == Form::json) {
    fmt::print("{}\n", reply.value());
  } else {
    print_table(*workers);
  }
  return EXIT_SUCCESS;
}

}  // namespace grove
