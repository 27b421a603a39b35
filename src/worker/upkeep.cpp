#include "worker/upkeep.h"

#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "base/wall_clock.h"

namespace grove {

namespace {

Result<SweepReport> counted(Holdings& holdings, Result<SweepReport> swept) {
  if (swept.has_value()) {
    holdings.metrics.add(Count::collected_chunks, {}, swept.value().chunks_removed);
    holdings.metrics.add(Count::collected_bytes, {}, swept.value().bytes_removed);
  }
  return swept;
}

}  // namespace

Awaitable<Result<SweepReport>> sweep_once(Holdings& holdings) {
  CO_TRY(auto const permit, co_await holdings.sweeps.acquire(1));
  auto swept = co_await holdings.background.run([&] { return holdings.collector->sweep(); });
  co_return counted(holdings, std::move(swept));
}

Awaitable<Result<SweepReport>> release_once(Holdings& holdings, std::string job) {
  CO_TRY(auto const permit, co_await holdings.sweeps.acquire(1));
  auto swept = co_await holdings.background.run([&] { return holdings.collector->release(job); });
  co_return counted(holdings, std::move(swept));
}

Awaitable<Result<ScrubReport>> scrub_once(Holdings& holdings, ScrubScope scope,
                                          ScrubGate keep_going) {
  CO_TRY(auto const permit, co_await holdings.scrubs.acquire(1));
  auto report = co_await holdings.background.run(
      [&] { return scrub(holdings.chunks, *holdings.refs, scope, keep_going); });
  if (report.has_value()) {
    auto const& found = report.value();
    holdings.metrics.add(Count::scrub_chunks, {}, found.chunks_read);
    holdings.metrics.add(Count::scrub_bytes, {}, found.bytes_read);
    holdings.metrics.add(Count::scrub_damaged, {}, found.damaged.size());
    if (found.is_whole && !scope.unverified_since_ms) {
      holdings.metrics.set(Level::last_scrub_time, static_cast<double>(wall_clock_ms()) / 1000);
    }
  }
  co_return report;
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
