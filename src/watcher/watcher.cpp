#include "watcher/watcher.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/config.h"
#include "base/config_file.h"
#include "base/limits.h"
#include "net/api_client.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "watcher/back_off.h"
#include "watcher/checksum_sync.h"
#include "watcher/rounds.h"
#include "watcher/watched_files.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

bool watches_alike(Config const& one, Config const& other) {
  return one.ckpt_root == other.ckpt_root && one.retention.keep_last == other.retention.keep_last &&
         one.retention.keep_every == other.retention.keep_every;
}

}  // namespace

struct Watcher::State {
  State(asio::any_io_executor watcher_executor, WatcherOptions watcher_options,
        Metrics& watcher_metrics)
      : executor(watcher_executor),
        options(std::move(watcher_options)),
        metrics(watcher_metrics),
        api(watcher_executor, options.api),
        offload(1),
        tasks(std::move(watcher_executor)) {}

  Awaitable<Result<Config>> read_config() {
    co_return co_await offload.run([this] { return load_config(options.config_path); });
  }

  // Says what is wrong, each cause once, and how long to wait for it to pass.
  std::chrono::milliseconds note_trouble(Error const& error) {
    if (std::exchange(trouble, error.message) != error.message) {
      spdlog::warn("watcher: {}; waiting", error.message);
    }
    delay = longer_pause(delay, 1s, limits::watcher_api_retry_last);
    return delay;
  }
  void note_success() {
    if (!std::exchange(trouble, {}).empty()) spdlog::info("watcher: going on");
    delay = {};
  }

  Awaitable<void> run() {
    while (true) {
      auto const config = co_await read_config();
      auto watched = Result<void>(ok());
      if (config.has_error()) {
        watched = config.error();
      } else {
        watched = co_await watch(config.value());
      }
      bool const cancelled = co_await is_cancelled();
      if (cancelled) co_return;
      auto const pause = watched.has_error() ? note_trouble(watched.error()) : 0ms;
      bool const rested = co_await sleep_for(pause);
      if (!rested) co_return;
    }
  }

  // Until the config says something else, or cancelled.
  Awaitable<Result<void>> watch(Config config) {
    WatchedFiles files(executor, offload, metrics, config.ckpt_root, options.extensions);
    CO_TRY(co_await files.read());
    spdlog::info("watcher: watching {} files under {}", files.settling_count(),
                 printable(config.ckpt_root.native()));
    TaskGroup following(executor);
    following.spawn("follow", files.follow());
    Rounds these_rounds(files, api, offload, metrics);
    rounds = &these_rounds;
    auto const ended = co_await go_round(files, these_rounds, config);
    rounds = nullptr;
    co_await following.stop(limits::shutdown_grace);
    co_return ended;
  }

  Awaitable<Result<void>> go_round(WatchedFiles& files, Rounds& these_rounds, Config& config) {
    // The files that are there already come to rest first, so that the first list is whole.
    auto not_before = steady_clock::now();
    if (files.settling_count() > 0) not_before += limits::watcher_quiet;
    while (true) {
      co_await files.settle();
      show(files);
      bool const cancelled = co_await is_cancelled();
      if (cancelled) co_return fail(ErrorKind::cancelled, "stopping");
      if (std::max(these_rounds.next_due(), not_before) <= steady_clock::now()) {
        auto fresh = co_await read_config();
        if (fresh.has_value() && !watches_alike(fresh.value(), config)) co_return ok();
        auto done = Result<void>(ok());
        if (fresh.has_error()) {
          done = fresh.error();
        } else {
          config = std::move(fresh).value();
          done = co_await these_rounds.run(config);
        }
        if (done.has_value()) {
          note_success();
        } else if (done.error().kind != ErrorKind::cancelled) {
          not_before = steady_clock::now() + note_trouble(done.error());
        }
        continue;
      }
      auto wake = std::max(these_rounds.next_due(), not_before);
      if (auto const settling = files.next_settling()) wake = std::min(wake, *settling);
      std::ignore = co_await files.changed().wait_until(wake);
    }
  }

  void show(WatchedFiles& files) {
    auto const waiting = files.backlog().count() + files.settling_count();
    metrics.set(Level::watcher_files, static_cast<double>(files.known().size()));
    metrics.set(Level::watcher_waiting_files, static_cast<double>(waiting));
  }

  // checksum_sync: until every worker has re-read what is due once. Those that were away are asked
  // again.
  Awaitable<void> verify_once() {
    std::optional<ChecksumSync> sync;
    std::chrono::milliseconds pause{};
    while (true) {
      auto const config = co_await read_config();
      if (config.has_value()) {
        std::set<std::uint32_t> ranks;
        for (auto const& device : config.value().workers) ranks.insert(device.rank.value);
        if (!sync) sync.emplace(ranks);
        sync->keep_only(ranks);
        co_await verify(config.value(), *sync);
      }
      if (sync && sync->left().empty()) co_return;
      pause = longer_pause(pause, limits::watcher_retry_first, limits::watcher_retry_last);
      bool const rested = co_await sleep_for(pause);
      if (!rested) co_return;
    }
  }

  Awaitable<void> verify(Config const& config, ChecksumSync& sync) {
    auto const on_line = [&](std::string_view line) {
      auto const worth = sync.take(line);
      if (worth == ChecksumSync::Worth::nothing) return;
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      spdlog::log(worth == ChecksumSync::Worth::info ? spdlog::level::info : spdlog::level::warn,
                  "checksum_sync: {}", line);
    };
    auto const had_damage = sync.has_found_damage();
    auto const target = fmt::format("/verify?unproven_for={}ms&ranks={}",
                                    config.scrub_every.count(), fmt::join(sync.left(), ","));
    // What broke off is asked for again; what was heard of before counts.
    std::ignore = co_await api.stream_lines(target, on_line);
    bool const is_damaged = sync.has_found_damage() && !had_damage;
    if (is_damaged && rounds != nullptr) rounds->doubt_copies();
  }

  asio::any_io_executor executor;
  WatcherOptions options;
  Metrics& metrics;
  ApiClient api;
  Offload offload;
  Rounds* rounds = nullptr;  // while a tree is watched
  std::string trouble;       // that was told and has not passed
  std::chrono::milliseconds delay{};
  TaskGroup tasks;
};

Watcher::Watcher(asio::any_io_executor executor, WatcherOptions options, Metrics& metrics)
    : state_(std::make_unique<State>(std::move(executor), std::move(options), metrics)) {}

Watcher::~Watcher() = default;

void Watcher::start() {
  state_->tasks.spawn("watcher", state_->run());
  state_->tasks.spawn("checksum_sync", state_->verify_once());
}

Awaitable<void> Watcher::stop() {
  co_await state_->tasks.stop(limits::shutdown_grace);
}

}  // namespace grove
