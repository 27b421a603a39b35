#include "worker/worker.h"

#include <cstdlib>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "net/host_label.h"
#include "net/metrics_route.h"
#include "transfer/announcement.h"
#include "worker/api.h"
#include "worker/disk_metrics.h"
#include "worker/scrub_schedule.h"
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
  bool const is_announced = options.is_announced;
  TRY(auto holdings, Holdings::open(std::move(executor), std::move(options)));
  DeviceConfig const* device = find_worker(holdings->config, rank);
  GROVE_ASSERT(device != nullptr);
  if (server.port == 0) server.port = device->port;
  server.hosts = {device->host, device->ip};
  return std::unique_ptr<Worker>(new Worker(std::move(holdings), std::move(server), is_announced));
}

Worker::Worker(std::unique_ptr<Holdings> holdings, HttpServerOptions options, bool is_announced)
    : holdings_(std::move(holdings)),
      tasks_(holdings_->executor),
      server_(holdings_->executor, routes(), std::move(options)),
      is_announced_(is_announced) {}

Worker::~Worker() = default;

HttpRouter Worker::routes() {
  auto router = worker_routes(*holdings_);
  add_metrics_routes(router, holdings_->metrics, [this]() -> Awaitable<void> {
    // Whoever calls here, and whom this worker calls.
    auto const served = server_.traffic();
    auto const called = holdings_->http.traffic();
    holdings_->metrics.raise_to(Count::bytes_sent, served.sent + called.sent);
    holdings_->metrics.raise_to(Count::bytes_received, served.received + called.received);
    co_await measure_disk(*holdings_);
  });
  return router;
}

Result<void> Worker::start() {
  TRY(server_.start());
  tasks_.spawn("collection", collect_periodically(*holdings_));
  tasks_.spawn("leases", expire_leases(*holdings_));
  tasks_.spawn("scrub", scrub_on_schedule(*holdings_));
  if (!is_announced_) return ok();
  if (auto const announced = announce(); announced.has_error()) {
    spdlog::warn("this worker is not announced, only the addresses in config.yaml lead to it: {}",
                 announced.error().message);
  }
  return ok();
}

Result<void> Worker::announce() {
  auto const rank = holdings_->folder.rank();
  DeviceConfig const* device = find_worker(holdings_->config, rank);
  TRY(mdns_, Mdns::start(holdings_->executor, mdns_host_label(machine_name(), port())));
  return mdns_->announce(announce_worker({.rank = rank, .host = device->host, .id = id()}, port()));
}

std::uint16_t Worker::port() const {
  return server_.port();
}

std::string const& Worker::id() const {
  return holdings_->folder.id();
}

Awaitable<void> Worker::stop() {
  holdings_->is_stopping = true;
  // Goodbye first: nobody should begin to talk to a worker that is going.
  if (mdns_) co_await mdns_->stop();
  co_await server_.stop(limits::shutdown_grace);
  co_await tasks_.stop(limits::shutdown_grace);
}

}  // namespace grove
