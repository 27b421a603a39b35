#include "worker/holdings.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/file.h"
#include "base/mount.h"

namespace grove {
namespace {

constexpr std::size_t background_threads_count = 4;
// One that syncs chunks, one that writes what names them.
constexpr std::size_t commits_threads_count = 2;

// Some wait for the disk while others hash.
std::size_t offload_threads_count() {
  return std::max<std::size_t>(4, std::thread::hardware_concurrency());
}

}  // namespace

Holdings::Holdings(asio::any_io_executor worker_executor, WorkerOptions options,
                   DataFolder data_folder, std::uint64_t reserved_bytes)
    : executor(std::move(worker_executor)),
      config(std::move(options.config)),
      folder(std::move(data_folder)),
      file_system(file_system_of(folder.root())),
      chunks(folder, reserved_bytes),
      leases(limits::lease_period),
      on_fatal(std::move(options.on_fatal)),
      http(executor),
      incoming(executor, incoming_bytes_max),
      outgoing(executor, outgoing_bytes_max),
      lists(executor, limits::list_bytes_max),
      sweeps(executor, 1),
      scrubs(executor, 1),
      paced_scrubs(executor, 1),
      proofs(executor, 1),
      background(background_threads_count),
      commits(commits_threads_count),
      offload(offload_threads_count(), config.priority) {}

Result<std::unique_ptr<Holdings>> Holdings::open(asio::any_io_executor executor,
                                                 WorkerOptions options) {
  if (find_worker(options.config, options.rank) == nullptr) {
    return fail(ErrorKind::invalid, "{}: no worker has rank {}; check --rank",
                options.config.source.string(), options.rank.value);
  }
  TRY(auto folder, DataFolder::open(options.data, options.rank, options.empty));
  TRY(auto const space, space_of(folder.root()));
  auto const reserve = reserved_bytes(options.config, space.total_bytes);
  auto const grace = options.config.collect_after;
  auto holdings = std::make_unique<Holdings>(std::move(executor), std::move(options),
                                             std::move(folder), reserve);
  TRY(holdings->refs, RefStore::open(holdings->folder, holdings->chunks));
  TRY(holdings->pins, PinStore::open(holdings->folder));
  holdings->is_draining = stamp_of(holdings->folder.draining()).has_value();
  holdings->collector.emplace(holdings->folder, holdings->chunks, *holdings->refs, holdings->leases,
                              grace);
  return holdings;
}

Awaitable<Config> Holdings::current_config() {
  if (config.source.empty()) co_return config;
  auto const source = config.source;
  auto fresh = co_await offload.run([&] { return load_config(source); });
  if (fresh) {
    config = std::move(fresh).value();
  } else {
    spdlog::warn("{}; going on with the configuration read before", fresh.error().message);
  }
  co_return config;
}

void Holdings::check_store(Error const& error) {
  if (chunks.is_poisoned() || folder.must_reopen()) on_fatal(error);
}

}  // namespace grove
