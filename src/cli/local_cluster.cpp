#include "cli/local_cluster.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/config_file.h"
#include "base/config_text.h"
#include "base/file.h"
#include "base/limits.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t first_port = 5001;
constexpr std::chrono::milliseconds exit_check_period = 100ms;
constexpr std::chrono::milliseconds back_off_min = 1s;
constexpr std::chrono::milliseconds back_off_max = 30s;
constexpr std::uint64_t config_bytes_max = limits::mib;

bool is_free(std::uint16_t port) {
  asio::io_context io;
  tcp::acceptor acceptor(io);
  error_code error;
  tcp::endpoint const endpoint(asio::ip::address_v4::loopback(), port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  return !error;
}

Result<void> make_config(fs::path const& path, std::uint32_t workers_count,
                         std::optional<fs::path> const& ckpt_root, fs::path const& folder) {
  auto const root = fs::absolute(ckpt_root.value_or(home_folder() / "checkpoints"));
  TRY(make_folders(root));
  std::vector<DeviceConfig> workers;
  for (std::uint16_t port = first_port; workers.size() < workers_count && port < 65535; ++port) {
    if (!is_free(port)) continue;
    auto const rank = static_cast<std::uint32_t>(workers.size() + 1);
    workers.push_back({.host = fmt::format("local-{}", rank),
                       .ip = "127.0.0.1",
                       .rank = Rank{rank},
                       .port = port});
  }
  auto const text = write_config(
      {.comment = fmt::format("Made by grove start --local {}. Edit it as you like; it is read "
                              "afresh on every request.",
                              workers_count),
       .ckpt_root = root,
       .shards_root = folder / "shards",
       .master = {.host = "localhost", .ip = "127.0.0.1", .rank = Rank{0}, .port = 5000},
       .workers = workers});
  return write_durably(path, bytes_of(text));
}

}  // namespace

fs::path default_data_folder() {
  auto const* data_home = std::getenv("XDG_DATA_HOME");
  if (data_home != nullptr && *data_home == '/') return fs::path(data_home) / "grove";
  return home_folder() / ".local" / "share" / "grove";
}

Result<LocalLayout> prepare_local_cluster(fs::path const& folder, std::uint32_t workers_count,
                                          std::optional<fs::path> const& ckpt_root) {
  auto const absolute = fs::absolute(folder).lexically_normal();
  TRY(make_folders(absolute));
  LocalLayout layout{.folder = absolute, .config_path = absolute / "config.yaml", .ranks = {}};
  if (auto existing = read_whole(layout.config_path, config_bytes_max); existing.has_error()) {
    if (existing.error().kind != ErrorKind::not_found) return std::move(existing).error();
    TRY(make_config(layout.config_path, workers_count, ckpt_root, absolute));
  }
  TRY(auto const config, load_config(layout.config_path));
  if (config.workers.size() != workers_count) {
    return fail(ErrorKind::conflict,
                "{} describes {} workers, not {}; use --local {} or another --data folder",
                layout.config_path.string(), config.workers.size(), workers_count,
                config.workers.size());
  }
  for (auto const& worker : config.workers) layout.ranks.push_back(worker.rank);
  return layout;
}

LocalCluster::LocalCluster(asio::any_io_executor executor, LocalLayout layout)
    : layout_(std::move(layout)), tasks_(std::move(executor)) {
  for (auto const rank : layout_.ranks) children_.push_back({.rank = rank, .pid = 0});
}

LocalCluster::~LocalCluster() = default;

Result<void> LocalCluster::start() {
  for (auto& child : children_) {
    TRY(launch(child));
    tasks_.spawn(fmt::format("worker {}", child.rank.value), keep_running(child));
  }
  return ok();
}

Result<void> LocalCluster::launch(Child& child) {
  auto const data = layout_.folder / fmt::format("worker_{}", child.rank.value);
  // The folder is ours: without data it is new, also where a first start was cut off before it had
  // an identity. One that lost its identity is not.
  std::error_code ignored;
  bool const is_new =
      !fs::exists(data / "identity.json", ignored) && !fs::exists(data / "chunks", ignored);
  auto const rank = std::to_string(child.rank.value);
  auto const config = layout_.config_path.string();
  auto const data_text = data.string();
  std::vector<char const*> arguments{"grove",    "worker",       "--rank", rank.c_str(),
                                     "--config", config.c_str(), "--data", data_text.c_str()};
  if (is_new) arguments.push_back("--new");
  if (!layout_.is_announced) arguments.push_back("--no-announce");
  arguments.push_back(nullptr);
  pid_t const parent = ::getpid();
  pid_t const pid = ::fork();
  if (pid < 0) {
    return fail(ErrorKind::exhausted, "cannot start worker {}: {}", rank, std::strerror(errno));
  }
  if (pid == 0) {
    // Only async-signal-safe calls from here: the parent has threads.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(EXIT_FAILURE);
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }
  child.pid = pid;
  spdlog::info("worker {}: pid {}, data in {}", rank, pid, data_text);
  return ok();
}

Awaitable<void> LocalCluster::keep_running(Child& child) {
  auto back_off = back_off_min;
  while (true) {
    // A stop does not end the watch before the child: only a child that ended is waited for.
    int status = 0;
    while (::waitpid(child.pid, &status, WNOHANG) == 0) {
      asio::steady_timer timer(tasks_.executor(), exit_check_period);
      std::ignore = co_await timer.async_wait(as_result);  // too early is only one look more
    }
    child.pid = 0;
    if (is_stopping_) co_return;
    spdlog::error("worker {} ended ({}); starting it again in {} ms", child.rank.value,
                  WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                      : fmt::format("status {}", WEXITSTATUS(status)),
                  back_off.count());
    bool const go_on = co_await sleep_for(back_off);
    if (!go_on || is_stopping_) co_return;
    back_off = std::min(back_off * 2, back_off_max);
    if (auto launched = launch(child); launched.has_error()) {
      spdlog::error("{}", launched.error().message);
      co_return;
    }
  }
}

Awaitable<void> LocalCluster::stop() {
  is_stopping_ = true;
  for (auto const& child : children_) {
    if (child.pid > 0) ::kill(child.pid, SIGTERM);
  }
  auto const deadline = std::chrono::steady_clock::now() + 2 * limits::shutdown_grace;
  bool const all_ended = co_await tasks_.wait_until(deadline);
  if (!all_ended) {
    for (auto const& child : children_) {
      if (child.pid > 0) ::kill(child.pid, SIGKILL);
    }
  }
  co_await tasks_.stop(limits::shutdown_grace);
}

}  // namespace grove
