// grove discover: the workers that answer on this network, as a table or as JSON.
#include <chrono>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "net/api_client.h"
#include "net/url.h"

namespace grove {
namespace {

Awaitable<void> fetch(Endpoint endpoint, double timeout_s, Result<std::string>& reply) {
  ApiClient api(co_await asio::this_coro::executor, endpoint);
  std::chrono::duration<double> const timeout(timeout_s);
  auto const limit = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  reply = co_await api.get(fmt::format("/discover?timeout={}", timeout_s), limit);
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
        join_host_port(worker.value("ip", std::string()), worker.value<std::uint16_t>("port", 0));
    fmt::print("{:>4}  {:<24} {}\n", worker.value("rank", 0u),
               worker.value("hostname", std::string()), address);
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
  if (!document.is_object() || !document.contains("workers") || !document["workers"].is_array()) {
    fmt::print(stderr, "ERROR: /discover did not answer with a list of workers\n");
    return EXIT_FAILURE;
  }
  if (options.form == Form::json) {
    fmt::print("{}\n", reply.value());
  } else {
    print_table(document["workers"]);
  }
  return EXIT_SUCCESS;
}

}  // namespace grove
