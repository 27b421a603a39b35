#include "worker/worker.h"

#include <cstdlib>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "worker/api.h"
#include "worker/upkeep.h"

namespace grove {
namespace {

// Not exit(): destructors would wait for work on the disk that has failed.
[[noreturn]] void end_process() {
  spdlog::shutdown();
  std::_Exit(EXIT_FAILURE);
}

FatalHandler fatal_handler(FatalHandler given) {
  return [given = std::move(given)](Error const& error) {
    spdlog::critical("{}", error.message);
    if (!given) end_process();
    given(error);
  };
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::open(asio::any_io_executor executor,
                                             WorkerOptions options) {
  options.on_fatal = fatal_handler(std::move(options.on_fatal));
  HttpServerOptions server;
  server.address = options.listen_address;
  server.port = options.port_override;
  auto const rank = options.rank;
  TRY(auto holdings, Holdings::open(std::move(executor), std::move(options)));
  DeviceConfig const* device = find_worker(holdings->config, rank);
  GROVE_ASSERT(device != nullptr);
  if (server.port == 0) server.port = device->port;
  server.hosts = {device->host, device->ip};
  return std::unique_ptr<Worker>(new Worker(std::move(holdings), std::move(server)));
}

Worker::Worker(std::unique_ptr<Holdings> holdings, HttpServerOptions options)
    : holdings_(std::move(holdings)),
      tasks_(holdings_->executor),
      server_(holdings_->executor, worker_routes(*holdings_), std::move(options)) {}

Worker::~Worker() = default;

Result<void> Worker::start() {
  TRY(server_.start());
  tasks_.spawn("collection", collect_periodically(*holdings_));
  tasks_.spawn("leases", expire_leases(*holdings_));
  return ok();
}

std::uint16_t Worker::port() const {
  return server_.port();
}

std::string const& Worker::id() const {
  return holdings_->folder.id();
}

Awaitable<void> Worker::stop() {
  co_await server_.stop(limits::shutdown_grace);
  co_await tasks_.stop(limits::shutdown_grace);
}

}  // namespace grove
