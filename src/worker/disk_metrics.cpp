#include "worker/disk_metrics.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "base/file.h"

namespace grove {
namespace {

// Of the index at a time: its lock is held no longer.
constexpr std::size_t page_count = 1000;

Result<void> measure_space(Holdings& holdings) {
  TRY(auto const space, space_of(holdings.folder.root()));
  holdings.metrics.set(Level::disk_free_bytes, static_cast<double>(space.free_bytes));
  holdings.metrics.set(Level::disk_size_bytes, static_cast<double>(space.total_bytes));
  holdings.metrics.set(Level::disk_reserved_bytes,
                       static_cast<double>(holdings.chunks.reserved_bytes()));
  holdings.metrics.raise_to(Count::disk_syncs, holdings.chunks.disk_syncs_count());
  return ok();
}

Result<void> measure_refs(Holdings& holdings) {
  double refs = 0, copies = 0, damaged = 0;
  std::string after;
  do {
    TRY(auto page, holdings.refs->inventory({}, after, page_count));
    for (InventoryEntry const& entry : page.entries) {
      ++refs;
      if (entry.ref.name.shard) ++copies;
      if (entry.missing_count > 0) ++damaged;
    }
    after = std::move(page.next);
  } while (!after.empty());
  holdings.metrics.set(Level::refs_held, refs);
  holdings.metrics.set(Level::copies_held, copies);
  holdings.metrics.set(Level::damaged_refs, damaged);
  return ok();
}

Result<void> measure_quarantine(Holdings& holdings) {
  TRY(auto const names, list_folder(holdings.folder.quarantine()));
  holdings.metrics.set(Level::quarantined_files, static_cast<double>(names.size()));
  return ok();
}

}  // namespace

Awaitable<void> measure_disk(Holdings& holdings) {
  for (auto const measure : {measure_space, measure_refs, measure_quarantine}) {
    auto const measured = co_await holdings.offload.run([&] { return measure(holdings); });
    if (measured.has_error()) spdlog::warn("metrics: {}", measured.error().message);
  }
}

}  // namespace grove
