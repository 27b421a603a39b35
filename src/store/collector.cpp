#include "store/collector.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/wall_clock.h"
#include "store/ref_files.h"

namespace grove {

namespace {

// Between two folders. A mutex is not fair: without a pause a put_ref that waits for the lock would
// wait for the whole sweep. Long enough for a thread to wake up.
constexpr std::chrono::microseconds pause_between_folders{200};

// Few enough that a put_ref does not wait long for the lock.
constexpr std::size_t released_at_once = 64;

void sort_without_repeats(std::vector<Digest>& digests) {
  std::ranges::sort(digests);
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
}

}  // namespace

Collector::Collector(DataFolder const& folder, ChunkStore& chunks, RefStore& refs, Leases& leases,
                     std::chrono::milliseconds grace, Leases::Clock::time_point started)
    : folder_(folder),
      chunks_(chunks),
      refs_(refs),
      leases_(leases),
      grace_(grace),
      started_(started) {}

// Later than so long before now. What is dated far ahead is of before the clock went back: it would
// stay until the clock is there again. (What is being stored is pinned by a clock that only goes
// on.)
bool Collector::is_young(std::int64_t time_ns, std::int64_t written_by_ns) const {
  auto const ahead_ns = written_by_ns + 2 * std::chrono::nanoseconds(grace_).count();
  return time_ns > written_by_ns && time_ns <= ahead_ns;
}

Result<SweepReport> Collector::sweep() {
  std::lock_guard const one_at_a_time(sweep_mutex_);
  SweepReport report;
  auto const now = Leases::Clock::now();
  leases_.expire(now);
  // Also what keeps a wall clock that jumps ahead just after the start (no battery, then NTP) from
  // making everything look old.
  if (now - started_ < grace_) return report;
  auto const written_by_ns = wall_clock_ns() - std::chrono::nanoseconds(grace_).count();

  TRY(sweep_trash(written_by_ns));
  TRY(report.refs_dropped, refs_.drop_unfinished(written_by_ns));
  Marks marks;
  // The bulk of the reading is done here; under the lock only what has changed since.
  TRY(mark(marks));
  TRY(sweep_chunks(marks, written_by_ns, report));
  TRY(sweep_objects(marks, written_by_ns, report));
  return report;
}

Result<SweepReport> Collector::release(std::string const& job) {
  std::lock_guard const one_at_a_time(sweep_mutex_);
  SweepReport report;
  auto const [pinned, own_refs] = leases_.release(job);
  if (pinned.empty() && own_refs.empty()) return report;
  for (auto const& ref : own_refs) {
    TRY(drop_trashed_ref(folder_, ref));
  }
  Marks marks;
  TRY(mark(marks));
  for (std::size_t first = 0; first < pinned.size(); first += released_at_once) {
    std::this_thread::sleep_for(pause_between_folders);
    std::lock_guard const lock(refs_.collector_lock());
    TRY(mark(marks));
    auto const last = std::min(first + released_at_once, pinned.size());
    for (auto index = first; index < last; ++index) {
      TRY(remove_unless_kept(pinned[index], marks, report));
    }
  }
  return report;
}

Result<void> Collector::remove_unless_kept(Digest const& digest, Marks const& marks,
                                           SweepReport& report) {
  if (leases_.is_pinned(digest, Leases::Clock::now())) return ok();
  if (!std::ranges::binary_search(marks.lists, digest)) {
    TRY(auto const was_here, refs_.remove_list(digest));
    if (was_here) ++report.objects_removed;
  }
  if (std::ranges::binary_search(marks.chunks, digest) || !chunks_.has(digest)) return ok();
  TRY(chunks_.remove(digest));
  ++report.chunks_removed;
  return ok();
}

// Adds what refs reach that were not marked yet. What a ref that is gone reached stays marked.
Result<void> Collector::mark(Marks& marks) const {
  auto const version = refs_.refs_version();
  if (version == marks.refs_version) return ok();
  for (auto const& ref : refs_.all_refs()) {
    auto const marked = mark_reach(ref, marks);
    if (!marked) {
      return fail(marked.error().kind, "cannot collect: {}; nothing is removed until it is back",
                  marked.error().message);
    }
  }
  TRY(mark_trash(marks));
  sort_without_repeats(marks.chunks);
  sort_without_repeats(marks.lists);
  sort_without_repeats(marks.manifests);
  marks.refs_version = version;
  return ok();
}

Result<void> Collector::mark_reach(Ref const& ref, Marks& marks) const {
  if (marks.targets.contains(ref.target)) return ok();
  TRY(auto const reached, refs_.reach(ref));
  marks.targets.insert(ref.target);
  if (!ref.name.shard) marks.manifests.push_back(ref.target);
  marks.lists.push_back(reached.list);
  for (auto const& chunk : reached.chunks) marks.chunks.push_back(chunk.digest);
  return ok();
}

// What cannot be read there marks nothing: it was to go in any case, and must not keep everything
// else from going.
Result<void> Collector::mark_trash(Marks& marks) const {
  TRY(auto const names, list_folder(folder_.trash()));
  for (auto const& name : names) {
    auto const path = folder_.trash() / name;
    auto const stamp = stamp_of(path);
    if (!stamp) continue;
    auto const [seen, is_new] = marks.trashed.try_emplace(name, stamp.value().ctime_ns);
    if (!is_new && std::exchange(seen->second, stamp.value().ctime_ns) == stamp.value().ctime_ns) {
      continue;
    }
    auto const ref = read_trashed_ref(path);
    auto const marked = ref ? mark_reach(ref.value(), marks) : Result<void>(ref.error());
    if (marked) continue;
    spdlog::warn("collection: what {} in trash/ named may go before it does: {}", printable(name),
                 marked.error().message);
  }
  return ok();
}

Result<void> Collector::sweep_chunks(Marks& marks, std::int64_t written_by_ns,
                                     SweepReport& report) {
  for (unsigned prefix = 0; prefix < 256; ++prefix) {
    std::this_thread::sleep_for(pause_between_folders);
    std::lock_guard const lock(refs_.collector_lock());
    TRY(mark(marks));
    TRY(auto const stored, chunks_.list(static_cast<std::uint8_t>(prefix)));
    for (auto const& chunk : stored) {
      if (is_young(chunk.mtime_ns, written_by_ns)) continue;
      if (std::ranges::binary_search(marks.chunks, chunk.digest)) continue;
      if (leases_.is_pinned(chunk.digest, Leases::Clock::now())) continue;
      TRY(chunks_.remove(chunk.digest));
      ++report.chunks_removed;
      report.bytes_removed += chunk.bytes_on_disk;
    }
  }
  return ok();
}

Result<void> Collector::sweep_objects(Marks& marks, std::int64_t written_by_ns,
                                      SweepReport& report) {
  std::lock_guard const lock(refs_.collector_lock());
  TRY(mark(marks));
  TRY(report.objects_removed,
      refs_.remove_other_objects(marks.lists, marks.manifests, written_by_ns));
  return ok();
}

Result<void> Collector::sweep_trash(std::int64_t trashed_by_ns) const {
  TRY(auto const names, list_folder(folder_.trash()));
  for (auto const& name : names) {
    auto const stamp = stamp_of(folder_.trash() / name);
    // The move to trash/ has set its ctime; its mtime is still that of the ref.
    if (!stamp || is_young(stamp.value().ctime_ns, trashed_by_ns)) continue;
    TRY(remove_tree(folder_.trash() / name));
  }
  return ok();
}

}  // namespace grove
