// grove watch: the watcher alone, where the API runs elsewhere or without one (--no-watch).
#include <cstdlib>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/service.h"
#include "net/http_server.h"
#include "net/metrics_route.h"
#include "watcher/watcher.h"

namespace grove {
namespace {

// Nothing is measured only when somebody looks.
Awaitable<void> nothing_to_refresh() {
  co_return;
}

HttpRouter metrics_routes(Metrics const& metrics) {
  HttpRouter router;
  add_metrics_routes(router, metrics, nothing_to_refresh);
  return router;
}

HttpServerOptions loopback(std::uint16_t port) {
  HttpServerOptions options;
  options.port = port;
  return options;
}

}  // namespace

int run_watch(ConfigPath const& config_path, WatchOptions const& options) {
  auto const path = find_config(config_path);
  auto const config = path.has_value() ? load_config(path.value()) : Result<Config>(path.error());
  if (config.has_error()) {
    spdlog::critical("{}", config.error().message);
    return EXIT_FAILURE;
  }
  for (auto const& notice : config.value().notices) spdlog::warn("{}", notice);
  asio::io_context io(1);
  Metrics metrics({Role::watcher});
  HttpServer server(io.get_executor(), metrics_routes(metrics), loopback(options.metrics_port));
  bool is_serving = false;
  Watcher watcher(io.get_executor(),
                  {.config_path = path.value(),
                   .extensions = options.extensions,
                   .api = api_endpoint(config.value())},
                  metrics);
  auto const start = [&]() -> Result<void> {
    if (options.metrics_port != 0) {
      auto const served = server.start();
      is_serving = served.has_value();
      // Files are stored all the same.
      if (served.has_error()) spdlog::warn("no /metrics: {}", served.error().message);
    }
    watcher.start();
    return ok();
  };
  auto const stop = [&]() -> Awaitable<void> {
    co_await watcher.stop();
    if (is_serving) co_await server.stop(limits::shutdown_grace);
  };
  return run_service(io, start, stop);
}

}  // namespace grove
