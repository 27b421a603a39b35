#include "worker/upkeep.h"

#include <algorithm>
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

// A scrub may take hours: what it finds is counted as it goes.
class ScrubCounter {
 public:
  explicit ScrubCounter(Metrics& metrics) : metrics_(metrics) {}

  void count(ScrubReport const& so_far) {
    metrics_.add(Count::scrub_chunks, {}, so_far.chunks_read - chunks_);
    metrics_.add(Count::scrub_bytes, {}, so_far.bytes_read - bytes_);
    metrics_.add(Count::scrub_damaged, {}, so_far.damaged.size() - damaged_);
    chunks_ = so_far.chunks_read;
    bytes_ = so_far.bytes_read;
    damaged_ = so_far.damaged.size();
  }

 private:
  Metrics& metrics_;
  std::uint64_t chunks_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t damaged_ = 0;
};

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
                                          ScrubGate keep_going, ScrubWanted is_wanted) {
  auto& permits = scope.unverified_since_ms ? holdings.paced_scrubs : holdings.scrubs;
  CO_TRY(auto const permit, co_await permits.acquire(1));
  ScrubCounter counter(holdings.metrics);
  auto report = co_await holdings.background.run([&] {
    ScrubGate const counting = [&](ScrubReport const& so_far) {
      counter.count(so_far);
      return keep_going(so_far);
    };
    return scrub(holdings.chunks, *holdings.refs, scope, counting, is_wanted);
  });
  if (report.has_value()) {
    counter.count(report.value());
    if (report.value().is_whole) {
      holdings.metrics.set(Level::last_scrub_time, static_cast<double>(wall_clock_ms()) / 1000);
    }
  }
  co_return report;
}

Awaitable<void> collect_periodically(Holdings& holdings) {
  auto const period = std::clamp<std::chrono::milliseconds>(
      holdings.config.collect_after, std::chrono::seconds(1), limits::collection_period);
  for (;;) {
    bool const rested = co_await sleep_for(period);
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
