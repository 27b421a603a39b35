#include "coordinator/keeping_calls.h"

#include <algorithm>
#include <utility>

#include "base/wall_clock.h"
#include "coordinator/job_lines.h"
#include "coordinator/marks.h"
#include "coordinator/moved_workers.h"

namespace grove {

namespace {

// Whether anything of it is there that was not forgotten.
bool is_stored(ClusterView const& view, CheckpointKey const& key) {
  return std::ranges::any_of(view.inventories, [&](WorkerInventory const& inventory) {
    return std::ranges::any_of(inventory.refs, [&](HeldRef const& held) {
      return !view.has_forgotten(key, held.ref.generation);
    });
  });
}

}  // namespace

Awaitable<std::string> pin_checkpoint(Services& services, Config config, CheckpointKey key,
                                      bool is_pinned) {
  co_await follow_moved_workers(services, config, LookUp::on_network, [](std::string) {});
  auto const view = co_await survey(services, config, key);
  auto const wanted = std::min<std::size_t>(config.redundancy, config.workers.size());
  if (view.alive_count() < wanted) {
    co_return lines::error(fmt::format(
        "{}; {} must, so that the pin is not lost; nothing is changed", view.summary(), wanted));
  }
  // A mark of what was never there would stay for ever. What has one may lose it.
  bool const has_pin = std::ranges::any_of(view.pins, &Pin::is_pinned);
  if (!is_stored(view, key) && (is_pinned || !has_pin)) {
    co_return lines::error(fmt::format("{} is not stored on any worker that answers ({})",
                                       key.identity(), view.summary()));
  }
  // Later than what is there, whatever the clocks say.
  auto changed_ms = wall_clock_ms();
  for (auto const& pin : view.pins) changed_ms = std::max(changed_ms, pin.changed_ms + 1);
  Pin const pin{.key = key, .is_pinned = is_pinned, .changed_ms = changed_ms};
  auto const told = co_await tell(services, config, view.members, pin);
  if (told.told.size() < wanted) {
    co_return lines::error(fmt::format("{} workers could be told, {} must be{}", told.told.size(),
                                       wanted, told.later(config)));
  }
  co_return fmt::format("Done: {} is {} on {} of {} workers{}", key.identity(),
                        is_pinned ? "pinned" : "no longer pinned", told.told.size(),
                        config.workers.size(), told.later(config));
}

Awaitable<std::string> undo_drain(Services& services, Config config, Rank rank) {
  co_await follow_moved_workers(services, config, LookUp::on_network, [](std::string) {});
  auto const& device = *find_worker(config, rank);
  WorkerClient worker(services.http, address_of(device));
  auto outcome = Result<void>(ok());
  auto const health = co_await worker.health();
  if (health.has_error()) {
    outcome = health.error();
  } else {
    outcome = co_await worker.put_drain(false);
  }
  if (outcome.has_error()) co_return lines::error(outcome.error().message);
  co_return fmt::format("Done: rank {} ({}) takes copies again, and gets its own back", rank.value,
                        device.host);
}

}  // namespace grove
