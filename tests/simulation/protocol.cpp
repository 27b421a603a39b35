#include "protocol.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "invariants.h"
#include "parts.h"
#include "plan/next_generation.h"
#include "plan/placement.h"
#include "plan/stand_in.h"

namespace grove::simulation {
namespace {

constexpr std::int64_t gone_after_ms = 600'000;

// Shards of contents that share some of their shards, as the steps of a training do.
Manifest make_manifest(std::string const& identity, Generation generation, std::uint64_t content,
                       std::uint32_t shards, std::uint32_t redundancy) {
  Manifest manifest;
  manifest.identity = identity;
  manifest.generation = generation;
  manifest.redundancy = redundancy;
  manifest.kind = CheckpointKind::opaque;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    auto const version = shard % 2 == 0 ? 0 : content;  // the even ones stay the same
    auto const bytes = 20 + (content + shard) % 50;
    auto const begin = manifest.file_bytes;
    manifest.file_bytes += bytes;
    manifest.shards.push_back(
        {.begin = begin,
         .end = manifest.file_bytes,
         .tensors_count = 0,
         .list = sha256(fmt::format("{} {} {} {}", identity, shard, version, bytes))});
  }
  manifest.sha256 = sha256(fmt::format("{} {}", identity, content));
  return manifest;
}

}  // namespace

Coordinator::Coordinator(World& world, Ledger& ledger, Checks& checks, std::function<void()> step)
    : world_(world), ledger_(ledger), checks_(checks), step_(std::move(step)) {}

Coordinator::View Coordinator::survey() const {
  View view{.workers = world_.config, .inventories = {}, .answers = {}, .forgotten = {}};
  std::vector<Ref> wanted;  // what a liar says it has
  for (auto const& [key, generations] : ledger_.done) {
    for (auto const& [generation, done] : generations) {
      for (std::uint32_t shard = 0; shard < done.manifest.shards.size(); ++shard) {
        wanted.push_back(shard_ref(done.manifest, shard));
      }
      wanted.push_back(manifest_ref(done.manifest));
    }
  }
  for (std::size_t index = 0; index < view.workers.size(); ++index) {
    auto const& worker = world_.workers[view.workers[index]];
    view.answers.push_back(worker.answers());
    if (!worker.answers()) continue;
    view.inventories.push_back(worker.inventory(index, wanted));
    for (auto const& [key, tombstone] : worker.disk.tombstones) {
      auto& up_to = view.forgotten[key];
      up_to = std::max(up_to, tombstone.up_to);
    }
  }
  return view;
}

std::vector<RepairWorker> Coordinator::repair_workers(View const& view) const {
  std::vector<RepairWorker> workers;
  for (std::size_t index = 0; index < view.workers.size(); ++index) {
    auto const& worker = world_.workers[view.workers[index]];
    RepairWorker plan_worker;
    if (!view.answers[index]) {
      auto const away_ms = world_.true_ms - worker.away_since_ms;
      plan_worker.state = away_ms >= gone_after_ms ? WorkerState::gone : WorkerState::away;
      plan_worker.away_since_ms = static_cast<std::uint64_t>(world_.clock_ms - away_ms);
    } else {
      plan_worker.room_bytes = worker.disk.capacity_bytes -
                               std::min(worker.disk.capacity_bytes, worker.disk.used_bytes());
      plan_worker.is_draining = worker.disk.is_draining;
    }
    workers.push_back(plan_worker);
  }
  return workers;
}

std::optional<Manifest> Coordinator::fetch(View const& view, GenerationView const& generation) {
  if (generation.manifests.size() != 1) return std::nullopt;
  for (auto const holder : generation.manifest_holders) {
    auto manifest = at(view, holder).manifest(generation.manifests.front());
    if (manifest) return manifest;
  }
  return std::nullopt;
}

// --- store ---

bool Coordinator::put_copy(View const& view, std::size_t index, Ref const& ref,
                           std::uint64_t bytes) {
  auto& worker = at(view, index);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (worker.put_chunks(ref.target, bytes) != Answer::ok) return false;
    step_();
    auto const put = worker.put_ref(ref, nullptr);
    step_();
    if (put != Answer::missing) return put == Answer::ok;
  }
  return false;
}

Coordinator::Outcome Coordinator::store(std::string const& identity, std::uint64_t content) {
  auto const view = survey();
  auto const key = key_of(identity);
  std::optional<Generation> newest;
  if (view.forgotten.contains(key)) newest = view.forgotten.at(key);
  for (auto const& known : generations_of(key, view.inventories)) {
    newest = std::max(newest, std::optional(known.generation));
  }
  auto const clock_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, world_.clock_ms));
  auto const generation = next_generation(newest, clock_ms, world_.random());
  auto const shards = static_cast<std::uint32_t>(2 + content % 4);
  auto const manifest = make_manifest(identity, generation, content, shards, world_.redundancy);
  auto const losses_before = checks_.losses;
  ledger_.attempted.emplace(digest_of(manifest), manifest);
  auto const ring = place_copies(shards, view.workers.size(), world_.redundancy);
  if (ring.has_error()) return Outcome::failed;

  auto const rooms = repair_workers(view);
  std::vector<std::vector<std::size_t>> kept(shards);  // config indexes
  std::vector<std::uint64_t> taken(view.workers.size(), 0);
  std::set<std::size_t> doubtful;
  for (auto const& copy : ring.value()) {
    auto const shard = copy.shard.value;
    auto const bytes = bytes_of(manifest, shard);
    auto target = std::optional<std::size_t>(copy.worker_index);
    bool const is_passed_over = rooms[*target].is_draining || doubtful.contains(*target);
    while (target) {
      bool const is_engaged = std::ranges::find(kept[shard], *target) != kept[shard].end();
      bool const is_tried = !is_engaged && !(is_passed_over && target == copy.worker_index);
      if (is_tried && put_copy(view, *target, shard_ref(manifest, shard), bytes)) {
        kept[shard].push_back(*target);
        break;
      }
      if (!is_engaged) doubtful.insert(*target);
      std::vector<StandInCandidate> candidates(view.workers.size());
      for (std::size_t index = 0; index < candidates.size(); ++index) {
        bool const has_it = std::ranges::find(kept[shard], index) != kept[shard].end();
        candidates[index] = {.is_fit = view.answers[index] && !has_it &&
                                       !doubtful.contains(index) && !rooms[index].is_draining,
                             .holds_shard = false,
                             .room_bytes = rooms[index].room_bytes,
                             .taken_bytes = taken[index]};
      }
      target = choose_stand_in(candidates, copy.worker_index, bytes);
      checks_.that(Invariant::plan_is_sane, !target || candidates[*target].is_fit,
                   "a stand-in that is not fit");
      if (target) taken[*target] += bytes;
    }
    if (!target) return Outcome::failed;
  }
  std::set<std::size_t> holders;
  for (auto const& of_shard : kept) holders.insert(of_shard.begin(), of_shard.end());
  std::size_t committed = 0;
  for (auto const holder : holders) {
    if (at(view, holder).put_ref(manifest_ref(manifest), &manifest) == Answer::ok) ++committed;
    step_();
  }
  if (committed < std::min<std::size_t>(world_.redundancy, holders.size())) return Outcome::failed;
  check_done(manifest, kept);
  ledger_.done[key][generation] = {
      .manifest = manifest, .digest = digest_of(manifest), .may_be_lost = false};
  checks_.note_done(key, generation, losses_before);
  return Outcome::done;
}

void Coordinator::check_done(Manifest const& manifest,
                             std::vector<std::vector<std::size_t>> const& copies) {
  for (auto const& of_shard : copies) {
    std::set<std::size_t> const distinct(of_shard.begin(), of_shard.end());
    checks_.that(Invariant::done_means_copies, distinct.size() >= manifest.redundancy,
                 "Done with fewer copies than wanted, or two on one worker");
  }
}

// --- gather ---

Coordinator::Outcome Coordinator::gather(std::string const& identity) {
  auto const view = survey();
  auto const key = key_of(identity);
  auto const remembered = checks_.remembered(key);
  auto const forgotten = view.forgotten.find(key);
  for (auto const& generation : generations_of(key, view.inventories)) {
    if (generation.manifests.empty()) continue;
    if (forgotten != view.forgotten.end() && generation.generation <= forgotten->second) break;
    auto const manifest = fetch(view, generation);
    step_();
    if (!manifest) return Outcome::failed;  // never an older one silently
    auto const plan = plan_gather(*manifest, view.inventories, view.workers.size());
    for (auto const& sources : plan.shards) {
      auto const list = manifest->shards[sources.shard.value].list;
      bool const is_had = std::ranges::any_of(sources.holders, [&](std::size_t holder) {
        return at(view, holder).read_chunks(list) == Answer::ok;
      });
      step_();
      if (!is_had) return Outcome::failed;
    }
    checks_.note_gathered(*manifest, remembered);
    return Outcome::done;
  }
  return Outcome::failed;
}

// --- forgetting ---

Coordinator::Outcome Coordinator::forget(std::string const& identity) {
  auto const view = survey();
  auto const key = key_of(identity);
  auto const known = generations_of(key, view.inventories);
  if (known.empty()) return Outcome::failed;
  auto const up_to = known.front().generation;
  ledger_.may_go(key, up_to);
  std::size_t told = 0;
  for (std::size_t index = 0; index < view.workers.size(); ++index) {
    if (at(view, index).put_tombstone({.key = key, .up_to = up_to}) == Answer::ok) ++told;
    step_();
  }
  if (told < world_.redundancy) return Outcome::failed;
  auto& forgotten = ledger_.forgotten[key];
  forgotten = std::max(forgotten, up_to);
  ledger_.forgetting_may_fail.erase(key);
  checks_.explain_tombstones();  // faults may have struck meanwhile
  return Outcome::done;
}

}  // namespace grove::simulation
