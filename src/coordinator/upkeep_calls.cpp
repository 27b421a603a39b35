#include "coordinator/upkeep_calls.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "coordinator/job_lines.h"
#include "coordinator/moved_workers.h"
#include "net/parallel.h"
#include "net/signal.h"

namespace grove {
namespace {

using nlohmann::json;

// These pin nothing.
std::string const no_job;

struct Told {
  bool kept = false;
  std::string detail;
};

Awaitable<void> tell_one(Services& services, DeviceConfig const& device,
                         std::span<std::byte const> list, Told& told) {
  WorkerClient worker(services.http, address_of(device), no_job);
  auto const health = co_await worker.health();
  if (health.has_error()) {
    told.detail = health.error().message;
    co_return;
  }
  auto const kept = co_await worker.put_expected(list);
  told.kept = kept.has_value();
  if (kept.has_error()) told.detail = kept.error().message;
}

// The workers' outcomes as lines, for the one who streams them.
class Verification {
 public:
  Verification(Services& services, Config config,
               std::optional<std::chrono::milliseconds> unproven_for)
      : services_(services),
        config_(std::move(config)),
        unproven_for_(unproven_for),
        changed_(services.executor),
        tasks_(services.executor) {}

  Awaitable<Result<void>> stream(HttpResponder& responder) {
    CO_TRY(co_await responder.start(200, "text/plain; charset=utf-8", std::nullopt, {}));
    for (std::size_t index = 0; index < config_.workers.size(); ++index) {
      tasks_.spawn("verify", verify(index));
    }
    auto streamed = co_await stream_lines(responder);
    co_await tasks_.stop(limits::shutdown_grace);
    if (streamed.has_error()) co_return streamed;
    CO_TRY(co_await responder.write_text(last_line() + "\n"));
    co_return co_await responder.finish();
  }

 private:
  Awaitable<Result<void>> stream_lines(HttpResponder& responder) {
    while (ended_count_ < config_.workers.size() || !pending_.empty()) {
      if (pending_.empty()) {
        auto const deadline = std::chrono::steady_clock::now() + limits::progress_period;
        bool const woken = co_await changed_.wait_until(deadline);
        bool const cancelled = co_await is_cancelled();
        if (cancelled) co_return fail(ErrorKind::cancelled, "the stream was cut");
        if (!woken) {
          pending_ = fmt::format("  {} of {} workers have re-read their copies\n", ended_count_,
                                 config_.workers.size());
        }
      }
      CO_TRY(co_await responder.write_text(std::exchange(pending_, {})));
    }
    co_return ok();
  }

  Awaitable<void> verify(std::size_t index) {
    auto const& device = config_.workers[index];
    WorkerClient worker(services_.http, address_of(device), no_job);
    auto summary = Result<ScrubSummary>(ScrubSummary{});
    auto const health = co_await worker.health();
    if (health.has_error()) {
      summary = health.error();
    } else {
      summary = co_await worker.scrub(unproven_for_);
    }
    note(device, summary);
  }

  void note(DeviceConfig const& device, Result<ScrubSummary> const& summary) {
    ++ended_count_;
    if (summary.has_error()) {
      ++silent_count_;
      pending_ += fmt::format("  ✗ rank {} was not verified: {}\n", device.rank.value,
                              summary.error().message);
    } else {
      auto const& found = summary.value();
      damaged_count_ += found.damaged_count;
      refs_count_ += found.refs_verified;
      pending_ +=
          fmt::format("  {} rank {} ({}): {} copies re-read, {} MB, {} damaged chunks\n",
                      found.damaged_count == 0 ? "✓" : "✗", device.rank.value, device.host,
                      found.refs_verified, found.bytes_read / limits::mib, found.damaged_count);
    }
    changed_.notify_all();
  }

  std::string last_line() const {
    auto const silent =
        fmt::format("{}/{} workers were not verified", silent_count_, config_.workers.size());
    if (damaged_count_ > 0) {
      return lines::error(fmt::format(
          "{} damaged chunks; store those checkpoints again where GET /checkpoints says at risk{}",
          damaged_count_, silent_count_ > 0 ? "; " + silent : ""));
    }
    if (silent_count_ > 0) return lines::error(silent);
    return fmt::format("Done: {} copies re-read on {} workers, none damaged", refs_count_,
                       config_.workers.size());
  }

  Services& services_;
  Config config_;
  std::optional<std::chrono::milliseconds> unproven_for_;
  Signal changed_;
  std::string pending_;
  std::size_t ended_count_ = 0;
  std::size_t silent_count_ = 0;
  std::uint64_t damaged_count_ = 0;
  std::uint64_t refs_count_ = 0;
  TaskGroup tasks_;  // last: they use the others
};

}  // namespace

Awaitable<std::string> tell_expected(Services& services, Config config,
                                     std::span<std::byte const> list) {
  co_await follow_moved_workers(services, config, LookUp::remembered, [](std::string) {});
  std::vector<Told> told(config.workers.size());
  std::vector<Awaitable<void>> tasks;
  for (std::size_t index = 0; index < told.size(); ++index) {
    tasks.push_back(tell_one(services, config.workers[index], list, told[index]));
  }
  co_await run_all(std::move(tasks));
  json rows = json::array();
  for (std::size_t index = 0; index < told.size(); ++index) {
    rows.push_back({{"rank", config.workers[index].rank.value},
                    {"host", config.workers[index].host},
                    {"kept", told[index].kept},
                    {"detail", told[index].detail}});
  }
  co_return json{{"workers", std::move(rows)}}.dump();
}

Awaitable<Result<void>> stream_verification(Services& services, Config config,
                                            std::optional<std::chrono::milliseconds> unproven_for,
                                            HttpResponder& responder) {
  co_await follow_moved_workers(services, config, LookUp::remembered, [](std::string) {});
  Verification verification(services, std::move(config), unproven_for);
  co_return co_await verification.stream(responder);
}

}  // namespace grove
