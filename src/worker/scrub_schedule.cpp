#include "worker/scrub_schedule.h"

#include <algorithm>
#include <functional>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "base/wall_clock.h"
#include "net/task_group.h"
#include "worker/scrub_pace.h"
#include "worker/upkeep.h"

namespace grove {
namespace {

using std::chrono::milliseconds;

void report(Holdings& holdings, Result<ScrubReport> const& scrubbed) {
  if (scrubbed.has_error()) {
    if (scrubbed.error().kind == ErrorKind::cancelled) return;
    spdlog::warn("scrub: {}", scrubbed.error().message);
    return;
  }
  auto const& found = scrubbed.value();
  if (found.oldest_ms) {
    holdings.metrics.set(Level::oldest_proof_age,
                         static_cast<double>(wall_clock_ms() - *found.oldest_ms) / 1000);
  }
  if (!found.damaged.empty()) {
    spdlog::error(
        "scrub: {} of {} chunks re-read are damaged and lie in quarantine now; the "
        "coordinator has them made again from other copies",
        found.damaged.size(), found.chunks_read);
  } else if (found.chunks_read > 0) {
    spdlog::info("scrub: {} chunks re-read ({} MiB), none damaged", found.chunks_read,
                 found.bytes_read / limits::mib);
  }
}

}  // namespace

milliseconds due_age(milliseconds scrub_every) {
  return scrub_every / limits::scrub_looks_per_period * (limits::scrub_looks_per_period - 1);
}

milliseconds next_look(milliseconds scrub_every, std::optional<std::int64_t> oldest_ms,
                       std::int64_t now_ms) {
  auto const longest = std::max(scrub_every / limits::scrub_looks_per_period, milliseconds(1));
  auto const shortest = std::min<milliseconds>(limits::scrub_look_period, longest);
  if (!oldest_ms) return shortest;
  auto const until_due = milliseconds(*oldest_ms - now_ms) + due_age(scrub_every);
  return std::clamp(until_due, shortest, longest);
}

Awaitable<void> scrub_on_schedule(Holdings& holdings) {
  std::optional<std::int64_t> oldest_ms;
  for (;;) {
    auto config = co_await holdings.current_config();
    auto pause = next_look(config.scrub_every, oldest_ms, wall_clock_ms());
    bool const rested = co_await sleep_for(pause);
    if (!rested) co_return;
    config = co_await holdings.current_config();
    std::function<bool()> const is_wanted = [&holdings] { return !holdings.is_stopping; };
    ScrubPace pace(holdings.transfers, is_wanted);
    ScrubScope const scope{.unverified_since_ms =
                               wall_clock_ms() - due_age(config.scrub_every).count()};
    ScrubGate const gate = [&pace](ScrubReport const& so_far) {
      return pace.wait_for_turn(so_far);
    };
    auto const scrubbed = co_await scrub_once(holdings, scope, gate);
    report(holdings, scrubbed);
    if (scrubbed.has_value()) oldest_ms = scrubbed.value().oldest_ms;
  }
}

}  // namespace grove
