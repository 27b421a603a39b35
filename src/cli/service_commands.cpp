// grove start and grove worker: the two that stay in the foreground.
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "cli/local_cluster.h"
#include "cli/service.h"
#include "cli/worker_intake.h"
#include "coordinator/coordinator.h"
#include "watcher/candidate.h"
#include "watcher/watcher.h"
#include "worker/worker.h"

namespace grove {
namespace {

Result<Config> load_with_warnings(ConfigPath const& explicit_path) {
  TRY(auto config, find_and_load_config(explicit_path));
  for (auto const& notice : config.notices) spdlog::warn("{}", notice);
  return config;
}

int report(Error const& error) {
  spdlog::critical("{}", error.message);
  return EXIT_FAILURE;
}

std::string listening_address(Config const& config) {
  bool const is_ipv6 = config.api_host.find(':') != std::string::npos;
  return is_ipv6 ? "[" + config.api_host + "]" : config.api_host;
}

// What -n writes: the config that was named, else the one that is there, else configs/config.yaml.
std::filesystem::path intake_path(ConfigPath const& explicit_path) {
  if (explicit_path) return *explicit_path;
  auto const* named = std::getenv("GROVE_CONFIG");
  if (named != nullptr && *named != '\0') return named;
  auto const found = find_config({});
  return found.has_value() ? found.value() : "configs/config.yaml";
}

// Why these options do not go together; none where they do.
std::optional<std::string> misuse(ConfigPath const& config_path, StartOptions const& options) {
  if (options.local_workers > 0) {
    if (config_path) {
      return "--local writes a config of its own: give --data instead of --config";
    }
    if (options.joining_workers > 0) return "--local has its own workers: nobody can join with -n";
    return std::nullopt;
  }
  if (options.data) return "--data goes with --local N";
  if (options.ckpt_root && options.joining_workers == 0) {
    return "--ckpt-root goes with --local N or -n N";
  }
  return std::nullopt;
}

int wait_for_joins(std::filesystem::path const& path, StartOptions const& options) {
  auto const taken = take_workers_in({.config_path = path,
                                      .workers_count = options.joining_workers,
                                      .ckpt_root = options.ckpt_root});
  if (taken.has_value()) return EXIT_SUCCESS;
  if (taken.error().kind == ErrorKind::cancelled) return interrupted_status;
  return report(taken.error());
}

}  // namespace

int run_start(ConfigPath const& config_path, StartOptions const& options) {
  if (auto const wrong = misuse(config_path, options)) {
    fmt::print(stderr, "{}\n", *wrong);
    return 2;
  }
  auto path = config_path;
  if (options.joining_workers > 0) {
    path = intake_path(config_path);
    int const status = wait_for_joins(*path, options);
    if (status != EXIT_SUCCESS) return status;
  }
  asio::io_context io(1);
  std::unique_ptr<LocalCluster> local;
  Result<Config> config = fail(ErrorKind::internal, "no config");
  if (options.local_workers > 0) {
    auto layout = prepare_local_cluster(options.data.value_or(default_data_folder()),
                                        options.local_workers, options.ckpt_root);
    if (layout.has_error()) return report(layout.error());
    layout.value().is_announced = options.is_announced;
    config = load_config(layout.value().config_path);
    local = std::make_unique<LocalCluster>(io.get_executor(), std::move(layout).value());
  } else {
    config = load_with_warnings(path);
  }
  if (config.has_error()) return report(config.error());
  // A process without a watcher shows nothing of one.
  auto const metrics =
      options.is_watching
          ? std::make_unique<Metrics>(std::initializer_list<Role>{Role::coordinator, Role::watcher})
          : std::make_unique<Metrics>(std::initializer_list<Role>{Role::coordinator});
  Coordinator coordinator(io.get_executor(), config.value(), default_data_folder() / "coordinators",
                          *metrics);
  std::optional<Watcher> watcher;
  auto const start = [&]() -> Result<void> {
    TRY(coordinator.start(options.is_repairing ? SelfRepair::on : SelfRepair::off));
    if (local) {
      TRY(local->start());
      spdlog::info("config: {} (give it to other commands with --config)",
                   config.value().source.string());
    }
    spdlog::info("API listening on http://{}:{}", listening_address(config.value()),
                 coordinator.port());
    if (options.is_watching) {
      auto api = api_endpoint(config.value());
      api.port = coordinator.port();
      watcher.emplace(io.get_executor(),
                      WatcherOptions{.config_path = config.value().source,
                                     .extensions = {std::string(default_extension)},
                                     .api = std::move(api)},
                      *metrics);
      watcher->start();
    }
    return ok();
  };
  auto const stop = [&]() -> Awaitable<void> {
    if (watcher) co_await watcher->stop();
    co_await coordinator.stop();
    if (local) co_await local->stop();
  };
  return run_service(io, start, stop);
}

int run_worker(ConfigPath const& config_path, WorkerCommandOptions const& options) {
  auto config = load_with_warnings(config_path);
  if (config.has_error()) return report(config.error());
  auto const data =
      options.data.value_or(default_data_folder() / fmt::format("worker_{}", options.rank.value));
  asio::io_context io(1);
  WorkerOptions worker_options;
  worker_options.config = std::move(config).value();
  worker_options.rank = options.rank;
  worker_options.data = data;
  bool const may_be_empty = options.is_new || options.only_prepare;
  worker_options.empty = may_be_empty ? EmptyFolder::adopt : EmptyFolder::refuse;
  worker_options.port_override = options.port;
  worker_options.is_announced = options.is_announced;
  auto const address = worker_options.listen_address;
  auto worker = Worker::open(io.get_executor(), std::move(worker_options));
  if (worker.has_error()) return report(worker.error());
  if (options.only_prepare) return EXIT_SUCCESS;
  auto const start = [&]() -> Result<void> {
    TRY(worker.value()->start());
    spdlog::info("worker {} listening on {}:{}, data in {}", options.rank.value, address,
                 worker.value()->port(), data.string());
    return ok();
  };
  auto const stop = [&]() -> Awaitable<void> { co_await worker.value()->stop(); };
  return run_service(io, start, stop);
}

}  // namespace grove
