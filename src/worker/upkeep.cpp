#include "worker/upkeep.h"

#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"

namespace grove {

Awaitable<Result<SweepReport>> sweep_once(Holdings& holdings) {
  CO_TRY(auto const permit, co_await holdings.sweeps.acquire(1));
  co_return co_await holdings.background.run([&] { return holdings.collector->sweep(); });
}

Awaitable<Result<SweepReport>> release_once(Holdings& holdings, std::string job) {
  CO_TRY(auto const permit, co_await holdings.sweeps.acquire(1));
  co_return co_await holdings.background.run([&] { return holdings.collector->release(job); });
}

Awaitable<Result<ScrubReport>> scrub_once(Holdings& holdings, std::function<bool()> keep_going) {
  CO_TRY(auto const permit, co_await holdings.scrubs.acquire(1));
  co_return co_await holdings.background.run(
      [&] { return scrub(holdings.chunks, *holdings.refs, keep_going); });
}

Awaitable<void> collect_periodically(Holdings& holdings) {
  for (;;) {
    bool const rested = co_await sleep_for(limits::collection_period);
    if (!rested) co_return;
    auto const report = co_await sweep_once(holdings);
    if (!report) {
      spdlog::warn("collection: {}", report.error().message);
      continue;
    }
    spdlog::info("collection: {} chunks ({} bytes), {} lists and manifests, {} refs removed",
                 report.value().chunks_removed, report.value().bytes_removed,
                 report.value().objects_removed, report.value().refs_dropped);
  }
}

Awaitable<void> expire_leases(Holdings& holdings) {
  // A lease that ended is no pin whenever it is forgotten; this only gives its memory back.
  for (;;) {
    bool const rested = co_await sleep_for(limits::lease_period);
    if (!rested) co_return;
    holdings.leases.expire(std::chrono::steady_clock::now());
  }
}

}  // namespace grove
