#include "cli/worker_intake.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/config_text.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/wall_clock.h"
#include "cli/interruptible.h"
#include "cli/local_cluster.h"
#include "coordinator/join_desk.h"
#include "net/host_label.h"
#include "net/local_address.h"
#include "net/mdns.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

struct Existing {
  std::string text;
  Config config;
};

// The config as it is; none where there is no such file.
Result<std::optional<Existing>> read_existing(fs::path const& path) {
  auto bytes = read_whole(path, limits::config_bytes_max);
  if (bytes.has_error()) {
    if (bytes.error().kind == ErrorKind::not_found) return std::optional<Existing>();
    return std::move(bytes).error();
  }
  std::string text{text_of(bytes.value())};
  TRY(auto config, parse_config(text, path));
  return std::optional(Existing{.text = std::move(text), .config = std::move(config)});
}

Result<std::string> new_text(IntakeOptions const& options, std::uint16_t master_port,
                             std::span<DeviceConfig const> workers) {
  auto const root = fs::absolute(options.ckpt_root.value_or(home_folder() / "checkpoints"));
  TRY(make_folders(root));
  DeviceConfig master{
      .host = machine_name(), .ip = "127.0.0.1", .rank = Rank{0}, .port = master_port};
  auto const own = local_address_towards(workers.front().ip);
  if (own.has_value()) master.ip = own.value();
  return write_config({.comment = fmt::format(
                           "Made by grove start -n {}. Edit it as you like; it is read afresh on "
                           "every request.",
                           workers.size()),
                       .ckpt_root = root,
                       .shards_root = std::nullopt,
                       .master = master,
                       .workers = workers});
}

void name_the_dropped(Config const& old, std::span<DeviceConfig const> workers) {
  for (auto const& known : old.workers) {
    bool const stays = std::any_of(workers.begin(), workers.end(), [&](DeviceConfig const& worker) {
      return worker.rank == known.rank;
    });
    if (stays) continue;
    spdlog::warn(
        "rank {} ({}) has not joined and is no longer in the config; its copies are not "
        "counted any more",
        known.rank.value, known.host);
  }
}

// Writes the config with these workers; returns its text.
Result<std::string> write_with(IntakeOptions const& options,
                               std::optional<Existing> const& existing, std::uint16_t master_port,
                               std::span<DeviceConfig const> workers) {
  auto const& path = options.config_path;
  std::string text;
  if (existing) {
    TRY(auto changed, change_workers(existing->text, workers, path));
    if (changed.text == existing->text) return existing->text;
    auto backup = path;
    backup += fmt::format(".{}.bak", wall_clock_ms());
    TRY(write_durably(backup, bytes_of(existing->text)));
    spdlog::info("the config as it was: {}", backup.string());
    if (!changed.keeps_comments) {
      spdlog::warn("{} could not be edited in place; its comments are in the backup only",
                   path.string());
    }
    name_the_dropped(existing->config, workers);
    text = std::move(changed.text);
  } else {
    TRY(text, new_text(options, master_port, workers));
    TRY(parse_config(text, path));
    TRY(make_folders(fs::absolute(path).parent_path()));
  }
  TRY(write_durably(path, bytes_of(text)));
  spdlog::info("config written: {}", path.string());
  return text;
}

std::unique_ptr<Mdns> announce(asio::any_io_executor executor, std::uint16_t port,
                               std::uint32_t workers_count) {
  auto mdns = Mdns::start(std::move(executor), mdns_host_label(machine_name(), port));
  auto announced =
      mdns.has_value()
          ? mdns.value()->announce(announce_master(machine_name(), port, workers_count))
          : Result<void>(mdns.error());
  if (announced.has_error()) {
    spdlog::warn(
        "this coordinator is not announced: {}; on the workers use grove join "
        "--coordinator ADDRESS:{}",
        announced.error().message, port);
  }
  return mdns.has_value() ? std::move(mdns).value() : nullptr;
}

Awaitable<Result<void>> serve_desk(JoinDesk& desk, IntakeOptions const& options,
                                   std::optional<Existing> const& existing) {
  CO_TRY(auto const devices, co_await desk.wait_for_all());
  std::vector<DeviceConfig> workers = devices;
  std::sort(workers.begin(), workers.end(),
            [](DeviceConfig const& a, DeviceConfig const& b) { return a.rank < b.rank; });
  CO_TRY(auto text, write_with(options, existing, desk.port(), workers));
  desk.hand_out(std::move(text));
  co_return ok();
}

Awaitable<void> take_in(IntakeOptions const& options, std::optional<Existing> const& existing,
                        Result<void>& result) {
  auto const executor = co_await asio::this_coro::executor;
  JoinDesk::Options desk_options;
  desk_options.wanted = options.workers_count;
  if (existing) {
    desk_options.existing = existing->config.workers;
    auto const& masters = existing->config.masters;
    if (!masters.empty()) desk_options.port = masters.front().port;
    for (auto const& master : masters) {
      desk_options.taken.push_back({.ip = master.ip, .port = master.port});
    }
  }
  desk_options.api_port = existing ? existing->config.api_port : Config().api_port;
  auto const port = desk_options.port;
  JoinDesk desk(executor, std::move(desk_options));
  result = desk.start();
  if (result.has_error()) co_return;
  auto mdns = announce(executor, port, options.workers_count);
  spdlog::info("waiting for {} workers on port {}: run grove join on each", options.workers_count,
               port);
  result = co_await serve_desk(desk, options, existing);
  if (mdns) co_await mdns->stop();
  co_await desk.stop();
  for (auto const& worker : desk.missed()) {
    spdlog::warn(
        "rank {} ({}) went away before it had its rank; run grove worker --rank {} there "
        "with this config, or start again with -n {}",
        worker.rank.value, worker.host, worker.rank.value, options.workers_count);
  }
}

}  // namespace

Result<void> take_workers_in(IntakeOptions const& options) {
  TRY(auto const existing, read_existing(options.config_path));
  Result<void> result = ok();
  asio::io_context io(1);
  bool const finished = run_interruptible(io, "join desk", take_in(options, existing, result));
  if (!finished) return fail(ErrorKind::cancelled, "stopped waiting for workers");
  return result;
}

}  // namespace grove
