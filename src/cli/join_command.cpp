// grove join: finds the coordinator that waits, gets a rank from it, remembers rank and config in
// the data folder, and runs the worker.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/config_file.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "cli/local_cluster.h"
#include "coordinator/join_client.h"
#include "net/host_label.h"
#include "net/task_group.h"
#include "worker/worker.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds search_time = 3s;
constexpr std::chrono::milliseconds tell_period = 30s;

struct Home {
  fs::path data;
  fs::path config_path;  // as the last coordinator gave it
  std::optional<FolderIdentity> identity;
  bool has_config = false;

  bool can_go_on() const { return identity && has_config; }
};

Result<Home> look_at_home(JoinOptions const& options) {
  Home home;
  home.data = options.data.value_or(default_data_folder() / "worker");
  home.config_path = home.data / "config.yaml";
  TRY(home.identity, DataFolder::identity_of(home.data));
  auto const config = load_config(home.config_path);
  if (config.has_value()) {
    home.has_config = true;
  } else if (config.error().kind != ErrorKind::not_found) {
    return config.error();
  }
  return home;
}

// Looks until somebody waits, or once where there is a config to go on with.
Awaitable<void> look_for_masters(bool once, Result<std::vector<WaitingMaster>>& masters) {
  auto told = std::chrono::steady_clock::time_point();
  while (true) {
    masters = co_await find_masters(search_time);
    bool const stop = co_await is_cancelled();
    if (stop || masters.has_error() || !masters.value().empty() || once) co_return;
    if (std::chrono::steady_clock::now() - told < tell_period) continue;
    told = std::chrono::steady_clock::now();
    spdlog::info(
        "no coordinator waits on this network yet: run grove start -n N there, or give "
        "--coordinator ADDRESS:PORT where multicast does not pass");
  }
}

Awaitable<void> join(Endpoint master, JoinRequest request, Result<JoinGrant>& grant) {
  auto const on_progress = [&master](JoinProgress const& progress) {
    spdlog::info("joined {}: {} of {} workers are there", master.text(), progress.joined,
                 progress.wanted);
  };
  grant = co_await join_master(master, std::move(request), on_progress);
}

Result<WaitingMaster> choose(std::vector<WaitingMaster> const& masters) {
  if (masters.size() == 1) return masters.front();
  fmt::print(stderr, "several coordinators wait on this network:\n");
  for (std::size_t i = 0; i < masters.size(); ++i) {
    fmt::print(stderr, "  {}  {}\n", i + 1, masters[i].endpoint.text());
  }
  if (::isatty(STDIN_FILENO) == 1) {
    fmt::print(stderr, "which one? ");
    std::string answer;
    std::getline(std::cin, answer);
    for (std::size_t i = 0; i < masters.size(); ++i) {
      if (answer == std::to_string(i + 1)) return masters[i];
    }
  }
  return fail(ErrorKind::invalid, "choose one of them with --coordinator ADDRESS:PORT");
}

// Remembers what was granted; the rank is written when the worker opens its folder.
Result<void> settle_in(Home const& home, JoinGrant const& grant) {
  TRY(parse_config(grant.config, home.config_path));
  TRY(make_folders(home.data));
  return write_durably(home.config_path, bytes_of(grant.config));
}

int report(Error const& error) {
  spdlog::critical("{}", error.message);
  return EXIT_FAILURE;
}

// Whom to join; none: nobody waits, and there is a config to go on with. Or the exit status.
std::variant<std::optional<Endpoint>, int> find_master(JoinOptions const& options,
                                                       Home const& home) {
  if (options.coordinator) return options.coordinator;
  Result<std::vector<WaitingMaster>> masters = std::vector<WaitingMaster>();
  asio::io_context io(1);
  bool const finished = run_interruptible(io, "look", look_for_masters(home.can_go_on(), masters));
  if (!finished) return interrupted_status;
  if (masters.has_error()) {
    if (!home.can_go_on()) return report(masters.error());
    spdlog::warn("{}", masters.error().message);
    return std::nullopt;
  }
  if (masters.value().empty()) return std::nullopt;
  auto const chosen = choose(masters.value());
  if (chosen.has_error()) return report(chosen.error());
  return chosen.value().endpoint;
}

}  // namespace

int run_join(JoinOptions const& options) {
  auto const home = look_at_home(options);
  if (home.has_error()) return report(home.error());
  auto const found = find_master(options, home.value());
  if (auto const* status = std::get_if<int>(&found)) return *status;
  std::optional<Rank> rank;
  if (home.value().identity) rank = home.value().identity->rank;
  if (auto const& master = std::get<std::optional<Endpoint>>(found)) {
    JoinRequest request{.host = options.host.value_or(machine_name()),
                        .id = rank ? home.value().identity->id : random_hex(16),
                        .remembered = rank,
                        .port = options.port};
    Result<JoinGrant> grant = fail(ErrorKind::internal, "nobody was asked");
    asio::io_context io(1);
    bool const finished = run_interruptible(io, "join", join(*master, std::move(request), grant));
    if (!finished) return interrupted_status;
    if (grant.has_value()) {
      auto const settled = settle_in(home.value(), grant.value());
      if (settled.has_error()) return report(settled.error());
      rank = grant.value().rank;
    } else if (grant.error().kind != ErrorKind::unavailable || !home.value().can_go_on()) {
      return report(fail(grant.error().kind, "cannot join: {}; is grove start -n N waiting there?",
                         grant.error().message));
    }
  }
  if (!rank) return report(fail(ErrorKind::internal, "no rank was given"));
  spdlog::info("rank {}, config {}", rank->value, home.value().config_path.string());
  return run_worker(home.value().config_path, {.rank = *rank,
                                               .data = home.value().data,
                                               .port = 0,
                                               .is_new = !home.value().identity.has_value(),
                                               .is_announced = true});
}

}  // namespace grove
