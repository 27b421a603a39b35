#include "coordinator/upkeep_calls.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "coordinator/job_lines.h"
#include "coordinator/moved_workers.h"
#include "coordinator/verification.h"
#include "coordinator/verify_checkpoint.h"
#include "net/parallel.h"

namespace grove {
namespace {

using nlohmann::json;

struct Told {
  bool kept = false;
  std::string detail;
};

Awaitable<void> tell_one(Services& services, DeviceConfig const& device,
                         std::span<std::byte const> list, Told& told) {
  WorkerClient worker(services.http, address_of(device));
  auto const health = co_await worker.health();
  if (health.has_error()) {
    told.detail = health.error().message;
    co_return;
  }
  auto const kept = co_await worker.put_expected(list);
  told.kept = kept.has_value();
  if (kept.has_error()) told.detail = kept.error().message;
}

// Of everything that the workers hold.
class WholeVerification : public Verification {
 public:
  WholeVerification(Services& services, Config config,
                    std::optional<std::chrono::milliseconds> unproven_for)
      : Verification(services, std::move(config)), unproven_for_(unproven_for) {}

 private:
  Awaitable<void> verify(std::size_t index) override {
    auto const& device = config().workers[index];
    WorkerClient worker(services_.http, address_of(device));
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
    if (summary.has_error()) {
      ++silent_count_;
      add_line(fmt::format("  ✗ rank {} was not verified: {}", device.rank.value,
                           summary.error().message));
      return;
    }
    auto const& found = summary.value();
    damaged_count_ += found.damaged_count;
    refs_count_ += found.refs_verified;
    refs_not_whole_ += found.refs_not_whole;
    bool const is_sound = found.damaged_count == 0 && found.refs_not_whole == 0;
    auto line =
        fmt::format("  {} rank {} ({}): {} copies re-read, {} MB, {} damaged chunks",
                    is_sound ? "✓" : "✗", device.rank.value, device.host, found.refs_verified,
                    found.bytes_read / limits::mib, found.damaged_count);
    if (found.refs_not_whole > 0) {
      line += fmt::format(", {} copies not whole ({} chunks missing)", found.refs_not_whole,
                          found.missing_count);
    }
    add_line(std::move(line));
  }

  std::string last_line() const override {
    auto const count = config().workers.size();
    auto const silent = fmt::format("{}/{} workers were not verified", silent_count_, count);
    if (damaged_count_ > 0 || refs_not_whole_ > 0) {
      return lines::error(fmt::format("{} damaged chunks, {} copies not whole; {}{}",
                                      damaged_count_, refs_not_whole_, mended_by(services_),
                                      silent_count_ > 0 ? "; " + silent : ""));
    }
    if (silent_count_ > 0) return lines::error(silent);
    return fmt::format("Done: {} copies re-read on {} workers, none damaged", refs_count_, count);
  }

  std::optional<std::chrono::milliseconds> unproven_for_;
  std::size_t silent_count_ = 0;
  std::uint64_t damaged_count_ = 0;
  std::uint64_t refs_count_ = 0;
  std::uint64_t refs_not_whole_ = 0;
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
  WholeVerification verification(services, std::move(config), unproven_for);
  co_return co_await verification.stream(responder);
}

}  // namespace grove
