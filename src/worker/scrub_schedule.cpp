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

void show_age(Holdings& holdings, std::optional<std::int64_t> oldest_ms) {
  if (!oldest_ms) return;
  holdings.metrics.set(Level::oldest_proof_age,
                       static_cast<double>(wall_clock_ms() - *oldest_ms) / 1000);
}

// Paces one pass, and says once where it is late.
class Pass {
 public:
  Pass(Holdings& holdings, milliseconds scrub_every, ScrubWanted const& is_wanted)
      : holdings_(holdings), scrub_every_(scrub_every), pace_(holdings.transfers, is_wanted) {}

  bool wait_for_turn(ScrubReport const& so_far) {
    auto const now_ms = wall_clock_ms();
    bool const is_hasty = is_near_deadline(scrub_every_, so_far.reading_ms, now_ms);
    if (so_far.reading_ms) show_age(holdings_, so_far.reading_ms);
    bool const is_late = so_far.reading_ms && now_ms - *so_far.reading_ms > scrub_every_.count();
    if (is_late && !has_warned_) {
      spdlog::warn("scrub: late: something here was last proven {} s ago, `scrub_every` is {} s",
                   (now_ms - *so_far.reading_ms) / 1000, scrub_every_.count() / 1000);
      has_warned_ = true;
    }
    return pace_.wait_for_turn(so_far,
                               is_hasty ? ScrubPace::Haste::near_deadline : ScrubPace::Haste::none);
  }

 private:
  Holdings& holdings_;
  milliseconds scrub_every_;
  ScrubPace pace_;
  bool has_warned_ = false;
};

void report(Holdings& holdings, Result<ScrubReport> const& scrubbed) {
  if (scrubbed.has_error()) {
    if (scrubbed.error().kind == ErrorKind::cancelled) return;
    spdlog::warn("scrub: {}", scrubbed.error().message);
    return;
  }
  auto const& found = scrubbed.value();
  show_age(holdings, found.oldest_left_ms);
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

bool is_near_deadline(milliseconds scrub_every, std::optional<std::int64_t> proven_ms,
                      std::int64_t now_ms) {
  return proven_ms && milliseconds(now_ms - *proven_ms) > scrub_every / 10 * 9;
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
    ScrubWanted const is_wanted = [&holdings] { return !holdings.is_stopping; };
    Pass pass(holdings, config.scrub_every, is_wanted);
    ScrubScope const scope{.unverified_since_ms =
                               wall_clock_ms() - due_age(config.scrub_every).count()};
    ScrubGate const gate = [&pass](ScrubReport const& so_far) {
      return pass.wait_for_turn(so_far);
    };
    auto const scrubbed = co_await scrub_once(holdings, scope, gate, is_wanted);
    report(holdings, scrubbed);
    if (scrubbed.has_value()) oldest_ms = scrubbed.value().oldest_left_ms;
  }
}

}  // namespace grove
