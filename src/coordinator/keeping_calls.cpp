#include "coordinator/keeping_calls.h"

#include <algorithm>
#include <utility>

#include "base/wall_clock.h"
#include "coordinator/forget.h"
#include "coordinator/job_lines.h"
#include "coordinator/marks.h"
#include "coordinator/moved_workers.h"

namespace grove {

Awaitable<Result<void>> delete_checkpoint(Services& services, Jobs& jobs, Config config,
                                          CheckpointKey key, HttpRequest& request,
                                          HttpResponder& responder) {
  ForgetRequest wanted{.key = std::move(key), .only = {}, .force = false};
  if (auto const text = request.param("generation")) {
    CO_TRY(wanted.only, parse_generation(*text));
  }
  auto const force = request.param("force").value_or("false");
  if (force != "true" && force != "false") {
    co_return fail(ErrorKind::invalid, "force must be true or false: {}", force);
  }
  wanted.force = force == "true";
  auto const forgotten =
      co_await forget_as_asked(services, jobs, std::move(config), std::move(wanted));
  if (forgotten.has_error()) co_return forgotten.error();
  co_return co_await responder.send_text(200, "text/plain; charset=utf-8",
                                         "Done: " + forgotten.value() + "\n");
}

Awaitable<std::string> pin_checkpoint(Services& services, Config config, CheckpointKey key,
                                      bool is_pinned) {
  co_await follow_moved_workers(services, config, LookUp::on_network, [](std::string) {});
  auto const view = co_await survey(services, config, key);
  // Later than what is there, whatever the clocks say.
  auto changed_ms = wall_clock_ms();
  for (auto const& pin : view.pins) changed_ms = std::max(changed_ms, pin.changed_ms + 1);
  Pin const pin{.key = key, .is_pinned = is_pinned, .changed_ms = changed_ms};
  auto const told = co_await tell(services, config, view.members, pin);
  auto const wanted = std::min<std::size_t>(config.redundancy, config.workers.size());
  if (told.told.size() < wanted) {
    co_return lines::error(fmt::format("{} workers could be told, {} must be{}", told.told.size(),
                                       wanted, told.later(config)));
  }
  bool const is_stored = std::ranges::any_of(
      view.inventories, [](WorkerInventory const& inventory) { return !inventory.refs.empty(); });
  co_return fmt::format("Done: {} is {} on {} of {} workers{}{}", key.identity(),
                        is_pinned ? "pinned" : "no longer pinned", told.told.size(),
                        config.workers.size(), is_stored ? "" : "; nothing of it is stored yet",
                        told.later(config));
}

Awaitable<std::string> undo_drain(Services& services, Config config, Rank rank) {
  co_await follow_moved_workers(services, config, LookUp::on_network, [](std::string) {});
  auto const& device = *find_worker(config, rank);
  WorkerClient worker(services.http, address_of(device), {});
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
