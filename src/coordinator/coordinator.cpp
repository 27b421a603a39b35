#include "coordinator/coordinator.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "coordinator/api.h"
#include "coordinator/cluster_metrics.h"
#include "coordinator/drill.h"
#include "coordinator/file_digests.h"
#include "coordinator/own_id.h"
#include "coordinator/repair.h"
#include "coordinator/worker_watch.h"
#include "net/http_client.h"
#include "net/metrics_route.h"
#include "net/offload.h"

namespace grove {
namespace {

HttpServerOptions server_options(Config const& config) {
  HttpServerOptions options;
  options.address = config.api_host;
  options.port = config.api_port;
  options.hosts = config.api_hosts;
  options.hosts.push_back(config.api_host);
  return options;
}

}  // namespace

struct Coordinator::State {
  State(asio::any_io_executor executor, Config const& config,
        std::filesystem::path const& state_folder, Metrics& metrics)
      : id(OwnId::take(state_folder, config.source)),
        http(executor),
        offload(std::max(2u, std::thread::hardware_concurrency()), config.priority),
        buffers(executor, limits::job_buffers_bytes_max),
        encodings(executor, limits::encoding_bytes_max),
        neighbours(executor, config.api_port),
        presences(executor),
        services{.executor = executor,
                 .http = http,
                 .offload = offload,
                 .buffers = buffers,
                 .encodings = encodings,
                 .neighbours = neighbours,
                 .presences = presences,
                 .metrics = metrics,
                 .coordinator_id = id.text()},
        jobs(services),
        watch(config, services),
        overview(services),
        cluster_metrics(config.source, services, jobs, overview),
        repair(config.source, services, jobs, overview),
        drills(services, jobs, overview, id.file_beside("drill.json")),
        digests(executor, offload),
        api(config.source, services, jobs, overview, repair, drills, digests),
        server(executor, routes(), server_options(config)) {}

  HttpRouter routes() {
    auto router = api.router();
    add_metrics_routes(router, services.metrics, [this] { return cluster_metrics.refresh(); });
    return router;
  }

  OwnId id;
  HttpClient http;
  Offload offload;
  Semaphore buffers;
  Semaphore encodings;
  Neighbours neighbours;
  Presences presences;
  Services services;
  Jobs jobs;
  WorkerWatch watch;
  Overview overview;
  ClusterMetrics cluster_metrics;
  Repair repair;
  Drills drills;
  FileDigests digests;
  Api api;
  HttpServer server;
};

Coordinator::Coordinator(asio::any_io_executor executor, Config config,
                         std::filesystem::path const& state_folder, Metrics& metrics)
    : state_(std::make_unique<State>(std::move(executor), config, state_folder, metrics)) {}

Coordinator::~Coordinator() = default;

Result<void> Coordinator::start(SelfRepair repair) {
  TRY(state_->server.start());
  state_->services.repairs_by_itself = repair == SelfRepair::on;
  state_->watch.start();
  if (repair == SelfRepair::on) state_->repair.start();
  return ok();
}

std::uint16_t Coordinator::port() const {
  return state_->server.port();
}

Awaitable<void> Coordinator::stop() {
  // Jobs first: their streams then end with a line that says so.
  co_await state_->jobs.stop(limits::shutdown_grace);
  co_await state_->drills.stop(limits::shutdown_grace);
  co_await state_->digests.stop(limits::shutdown_grace);
  co_await state_->repair.stop(limits::shutdown_grace);
  co_await state_->watch.stop(limits::shutdown_grace);
  co_await state_->cluster_metrics.stop(limits::shutdown_grace);
  co_await state_->server.stop(limits::shutdown_grace);
  co_await state_->neighbours.stop();
  state_->http.close_idle();
}

}  // namespace grove
