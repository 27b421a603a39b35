#include "coordinator/repair_round.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/parallel.h"
#include "net/throttle.h"
#include "transfer/replicate.h"

namespace grove {
namespace {

constexpr std::chrono::milliseconds turn_step_max{500};

std::string_view why(RepairReason reason) {
  switch (reason) {
    case RepairReason::lost:
      return "was lost";
    case RepairReason::damaged:
      return "was damaged";
    case RepairReason::home:
      return "belongs there";
    case RepairReason::leaving:
      return "leaves a worker that is to be emptied";
    case RepairReason::joined:
      return "was damaged everywhere";
  }
  return "was lost";
}

std::string join_name(Manifest const& manifest, CopyToMake const& copy) {
  return fmt::format("{} {} {} {}", manifest.identity, manifest.generation.value, copy.shard.value,
                     copy.to);
}

}  // namespace

RepairRound::RepairRound(Services& services, Jobs& jobs, Config const& config,
                         ClusterView const& view)
    : services_(services),
      jobs_(jobs),
      config_(config),
      view_(view),
      pace_(std::nullopt, RepairPace::TimePoint::max()) {}

Awaitable<void> RepairRound::carry_out(std::shared_ptr<Job> job, RepairPace::TimePoint until) {
  job_ = std::move(job);
  pace_ = RepairPace(bytes_per_second(config_.bandwidth_limit_mb_per_s), until);
  co_await make_copies();
  for (auto const& planned : plans_) {
    bool const stopped = co_await is_cancelled();
    if (stopped || is_time_over()) break;
    if (planned->plan.copies.empty()) co_await finish(*planned);
  }
  // Best effort: leases end by themselves, too. What failed otherwise will be tried again.
  for (auto const worker : full_) {
    auto at_worker = client(worker);
    std::ignore = co_await at_worker.release();
  }
  for (auto const worker : filled_) {
    auto at_worker = client(worker);
    std::ignore = co_await at_worker.end_lease();
  }
}

Awaitable<void> RepairRound::make_copies() {
  std::vector<std::pair<Planned*, CopyToMake const*>> copies;
  std::uint64_t bytes = 0;
  for (auto const& planned : plans_) {
    for (auto const& copy : planned->plan.copies) {
      copies.emplace_back(planned.get(), &copy);
      auto const& shard = planned->what.manifest->shards[copy.shard.value];
      bytes += shard.end - shard.begin;
    }
  }
  job_->set_bytes_total(job_->bytes_done() + bytes);
  // What is worst off first.
  std::ranges::stable_sort(copies, {}, [](auto const& step) { return step.second->from.size(); });
  std::size_t next = 0;
  auto const lane = [&]() -> Awaitable<void> {
    while (next < copies.size()) {
      auto const [planned, copy] = copies[next++];
      bool const stopped = co_await is_cancelled();
      if (stopped || is_time_over()) co_return;
      co_await make_copy(*planned, *copy);
    }
  };
  std::vector<Awaitable<void>> lanes;
  for (std::size_t i = 0; i < limits::repairs_at_once; ++i) lanes.push_back(lane());
  co_await run_all(std::move(lanes));
}

// --- who, and in words ---

WorkerAddress RepairRound::address(std::size_t worker) const {
  auto address = address_of(device(worker));
  if (auto const& health = view_.members[worker].health) address.id = health->id;
  return address;
}

std::vector<WorkerAddress> RepairRound::addresses(std::span<std::size_t const> workers) const {
  std::vector<WorkerAddress> all;
  for (auto const worker : workers) all.push_back(address(worker));
  return all;
}

WorkerClient RepairRound::client(std::size_t worker) const {
  return WorkerClient(services_.http, address(worker), job_->id());
}

std::string RepairRound::name(std::size_t worker) const {
  return fmt::format("rank {} ({})", device(worker).rank.value, device(worker).host);
}

std::string RepairRound::names(std::span<std::size_t const> workers) const {
  std::string text;
  for (auto const worker : workers) text += (text.empty() ? "" : ", ") + name(worker);
  return text;
}

std::string RepairRound::line(Planned const& planned, CopyToMake const& copy,
                              std::string_view verb) const {
  return fmt::format("shard {} of {} {} {} from {}: it {}", copy.shard.value,
                     planned.what.manifest->identity, verb, name(copy.to), names(copy.from),
                     why(copy.reason));
}

std::string RepairRound::drop_line(Ref const& ref, std::size_t from,
                                   std::span<std::size_t const> witnesses,
                                   std::string_view verb) const {
  auto const what =
      ref.name.shard ? fmt::format("shard {}", ref.name.shard->value) : std::string("the manifest");
  return fmt::format("{} of {} {} {}: {} have it", what, ref.key.identity(), verb, name(from),
                     names(witnesses));
}

void RepairRound::add_plan(CompleteGeneration what, std::span<RepairWorker> workers,
                           std::set<std::string> const& in_vain) {
  auto plan = plan_repair(*what.manifest, *what.inventories, workers, config_.redundancy);
  std::erase_if(plan.copies, [&](CopyToMake const& copy) {
    return copy.reason == RepairReason::joined && in_vain.contains(join_name(*what.manifest, copy));
  });
  if (!plan.short_of.empty()) short_of_.insert(what.manifest->identity);
  if (plan.is_empty()) return;
  auto const copies_count = plan.copies.size();
  plans_.push_back(std::unique_ptr<Planned>(new Planned{.what = std::move(what),
                                                        .plan = std::move(plan),
                                                        .copies_left = copies_count,
                                                        .has_failed = false}));
}

bool RepairRound::needs(std::size_t worker) const {
  bool const gives = std::ranges::any_of(plans_, [&](auto const& planned) {
    return std::ranges::any_of(planned->plan.copies, [&](CopyToMake const& copy) {
      return std::ranges::find(copy.from, worker) != copy.from.end();
    });
  });
  if (gives) return true;
  return std::ranges::any_of(view_.inventories, [&](WorkerInventory const& inventory) {
    return inventory.worker_index == worker &&
           std::ranges::any_of(inventory.refs, [&](HeldRef const& held) {
             return short_of_.contains(held.ref.key.identity());
           });
  });
}

std::string RepairRound::text() const {
  std::string lines;
  for (auto const& planned : plans_) {
    for (auto const& copy : planned->plan.copies) {
      lines += "  " + line(*planned, copy, "to be copied to") + "\n";
    }
    for (auto const worker : planned->plan.manifests) {
      lines += fmt::format("  the manifest of {} to be copied to {}\n",
                           planned->what.manifest->identity, name(worker));
    }
    for (auto const& drop : planned->plan.drops) {
      auto const ref = ref_of(*planned, RefName{drop.shard}, {});
      lines += "  " + drop_line(ref, drop.from, drop.witnesses, "to be dropped by") + "\n";
    }
    for (auto const& drop : planned->plan.manifest_drops) {
      auto const ref = ref_of(*planned, RefName{}, {});
      lines += "  " + drop_line(ref, drop.from, drop.witnesses, "to be dropped by") + "\n";
    }
  }
  for (auto const& identity : short_of_) lines += "  " + short_line(identity) + "\n";
  return lines;
}

std::string RepairRound::short_line(std::string_view identity) {
  return fmt::format("{} has too few copies, and no worker that answers can give or take one",
                     identity);
}

void RepairRound::note_failure(std::string const& what, Error const& error) {
  ++failed_count_;
  services_.metrics.add(Count::copies_failed);
  job_->add_line(fmt::format("  ✗ {}: {}", what, error.message));
}

// Others' stores and gathers have the cables first.
Awaitable<bool> RepairRound::wait_for_turn() {
  for (;;) {
    bool const stopped = co_await is_cancelled();
    if (stopped || is_time_over()) co_return false;
    auto const wait = pace_.until_turn(RepairPace::Clock::now(), jobs_.is_busy());
    if (wait == RepairPace::Clock::duration::zero()) break;
    // In small steps: the others may be done sooner.
    auto const step = std::min<std::chrono::milliseconds>(
        std::chrono::ceil<std::chrono::milliseconds>(wait), turn_step_max);
    co_await sleep_for(step);
  }
  pace_.begin_window();
  co_return true;
}

void RepairRound::note_moved(std::uint64_t bytes, std::chrono::nanoseconds took) {
  pace_.end_window(RepairPace::Clock::now(), bytes, took, jobs_.is_busy());
  job_->add_bytes_done(bytes);
  services_.metrics.add(Count::repaired_bytes, {}, bytes);
}

bool RepairRound::is_time_over() {
  if (pace_.is_over(RepairPace::Clock::now())) is_cut_short_ = true;
  return is_cut_short_;
}

bool RepairRound::is_down(std::size_t worker) const {
  auto const* watched = services_.presences.find(device(worker).rank);
  return watched != nullptr && watched->presence == Presence::down;
}

Awaitable<Result<ShardList>> RepairRound::list_of(Digest digest,
                                                  std::span<std::size_t const> holders) {
  Result<ShardList> list = fail(ErrorKind::unavailable, "no worker that answers holds it");
  for (auto const holder : holders) {
    auto worker = client(holder);
    list = co_await worker.get_list(digest);
    if (list.has_value()) break;
  }
  co_return list;
}

Awaitable<Result<void>> RepairRound::bring(std::size_t to, std::span<std::size_t const> from,
                                           Digest digest) {
  CO_TRY(auto const list, co_await list_of(digest, from));
  auto worker = client(to);
  auto const sources = addresses(from);
  ReplicateEvents const events{
      .wait_for_turn = [this] { return wait_for_turn(); },
      .moved = [this](std::uint64_t bytes,
                      std::chrono::nanoseconds took) { note_moved(bytes, took); }};
  co_return co_await replicate(worker, sources, digest, list, events);
}

// The ref makes it count; what turns out to be lacking is pulled once more.
Awaitable<Result<void>> RepairRound::put_ref(std::size_t to, std::span<std::size_t const> from,
                                             Ref ref) {
  auto worker = client(to);
  CO_TRY(auto missing, co_await worker.put_ref(ref));
  if (missing.empty()) co_return ok();
  auto const sources = addresses(from);
  CO_TRY(co_await pull_from_any(worker, sources, std::move(missing)));
  CO_TRY(co_await worker.sync());
  CO_TRY(missing, co_await worker.put_ref(ref));
  if (missing.empty()) co_return ok();
  co_return fail(ErrorKind::internal, "{}: lost {} chunks that it had acknowledged; check its disk",
                 worker.address().endpoint.text(), missing.size());
}

Ref RepairRound::ref_of(Planned const& planned, RefName name, Digest target) const {
  return {.key = planned.what.key,
          .generation = planned.what.manifest->generation,
          .name = name,
          .target = target};
}

Awaitable<void> RepairRound::make_copy(Planned& planned, CopyToMake const& copy) {
  bool const is_storing = jobs_.is_storing(planned.what.manifest->identity);
  // What is stored may replace this; and what does not go there will not go for the next one.
  if (is_storing || full_.contains(copy.to) || is_down(copy.to)) {
    planned.has_failed = true;
    ++later_count_;
    --planned.copies_left;
    co_return;
  }
  auto const list = planned.what.manifest->shards[copy.shard.value].list;
  auto made = co_await bring(copy.to, copy.from, list);
  if (made.has_value()) {
    made = co_await put_ref(copy.to, copy.from, ref_of(planned, RefName{copy.shard}, list));
  }
  if (made.has_value()) {
    ++made_count_;
    filled_.insert(copy.to);
    services_.metrics.add(Count::copies_made);
    job_->add_line("  ✓ " + line(planned, copy, "copied to"));
  } else {
    planned.has_failed = true;
    if (made.error().kind == ErrorKind::exhausted) full_.insert(copy.to);
    if (made.error().kind != ErrorKind::cancelled) {
      note_failure(line(planned, copy, "not copied to"), made.error());
      if (copy.reason == RepairReason::joined) {
        joined_in_vain_.insert(join_name(*planned.what.manifest, copy));
      }
    }
  }
  if (--planned.copies_left == 0) co_await finish(planned);
}

// Header and manifest last, so that a copy with a manifest is a whole one; then what is surplus.
Awaitable<void> RepairRound::finish(Planned& planned) {
  if (jobs_.is_storing(planned.what.manifest->identity)) {
    ++later_count_;
    co_return;
  }
  for (auto const worker : planned.plan.manifests) {
    auto const put = co_await put_manifest(planned, worker);
    if (put.has_value()) continue;
    planned.has_failed = true;
    if (put.error().kind == ErrorKind::cancelled) break;
    note_failure(fmt::format("the manifest of {} not copied to {}", planned.what.manifest->identity,
                             name(worker)),
                 put.error());
  }
  bool const stopped = co_await is_cancelled();
  if (planned.has_failed || stopped) co_return;
  for (auto const& surplus : planned.plan.drops) {
    if (is_time_over()) co_return;
    auto const list = planned.what.manifest->shards[surplus.shard.value].list;
    co_await drop(ref_of(planned, RefName{surplus.shard}, list), surplus.from, surplus.witnesses);
  }
  for (auto const& surplus : planned.plan.manifest_drops) {
    co_await drop(ref_of(planned, RefName{}, planned.what.digest), surplus.from, surplus.witnesses);
  }
}

Awaitable<Result<void>> RepairRound::put_manifest(Planned const& planned, std::size_t to) {
  auto const& manifest = *planned.what.manifest;
  auto const& from = planned.plan.manifest_holders;
  CO_TRY(co_await bring(to, from, manifest.header_list));
  auto worker = client(to);
  auto const text = serialize(manifest);
  CO_TRY(co_await worker.put_manifest(planned.what.digest, bytes_of(text)));
  co_return co_await put_ref(to, from, ref_of(planned, RefName{}, planned.what.digest));
}

Awaitable<void> RepairRound::drop(Ref ref, std::size_t from, std::vector<std::size_t> witnesses) {
  auto worker = client(from);
  std::vector<DeletionWitness> same;
  for (auto const witness : witnesses) same.push_back({.address = address(witness)});
  auto const dropped = co_await worker.delete_ref(ref, services_.coordinator_id, same);
  if (dropped.has_value()) {
    if (ref.name.shard) {
      ++dropped_count_;
      services_.metrics.add(Count::copies_dropped);
    }
    job_->add_line("  ✓ " + drop_line(ref, from, witnesses, "dropped by"));
  } else if (dropped.error().kind == ErrorKind::conflict) {
    ++later_count_;
    job_->add_line("  " + drop_line(ref, from, witnesses, "not yet dropped by") + "; " +
                   dropped.error().message);
  } else if (dropped.error().kind != ErrorKind::cancelled) {
    note_failure(drop_line(ref, from, witnesses, "not dropped by"), dropped.error());
  }
}

}  // namespace grove
