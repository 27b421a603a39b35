#include "coordinator/overview.h"

#include <algorithm>
#include <set>
#include <utility>

#include "coordinator/locate.h"
#include "coordinator/moved_workers.h"
#include "coordinator/overview_json.h"
#include "coordinator/repair_workers.h"
#include "net/parallel.h"

namespace grove {
namespace {

// What is kept of manifests takes about 60 bytes a shard.
constexpr std::size_t manifest_shards_kept_max = 1'000'000;
constexpr std::size_t manifests_at_once = 8;

}  // namespace

Awaitable<std::string> Overview::workers(Config config, Copies copies_wanted) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  if (copies_wanted == Copies::left_out) {
    auto const members = co_await probe(services_, config);
    co_return workers_json(config, members, services_.presences, std::nullopt);
  }
  auto const view = co_await survey(services_, config, std::nullopt);
  std::vector<std::size_t> copies(view.members.size(), 0);
  for (auto const& inventory : view.inventories) {
    copies[inventory.worker_index] = static_cast<std::size_t>(
        std::count_if(inventory.refs.begin(), inventory.refs.end(),
                      [](HeldRef const& held) { return held.ref.name.shard.has_value(); }));
  }
  co_return workers_json(config, view.members, services_.presences, copies);
}

struct Overview::Found {
  CheckpointKey key;
  std::shared_ptr<std::vector<WorkerInventory> const> inventories;  // its refs only
  std::vector<GenerationView> generations;                          // newest first
  std::vector<std::shared_ptr<Manifest const>> manifests;           // of each; null: cannot be had

  // Sorted by key.
  static std::vector<Found> group(std::vector<WorkerInventory> inventories,
                                  ClusterView const& view);
  CheckpointReport report(Config const& config, Circumstances const& circumstances) const;
};

std::vector<Overview::Found> Overview::Found::group(std::vector<WorkerInventory> inventories,
                                                    ClusterView const& view) {
  std::map<CheckpointKey, std::vector<WorkerInventory>> by_key;
  for (auto& inventory : inventories) {
    for (auto& held : inventory.refs) {
      auto& parts = by_key[held.ref.key];
      if (parts.empty() || parts.back().worker_index != inventory.worker_index) {
        parts.push_back({.worker_index = inventory.worker_index, .refs = {}});
      }
      parts.back().refs.push_back(std::move(held));
    }
  }
  std::vector<Found> all;
  for (auto& entry : by_key) {
    auto const& key = entry.first;
    auto& parts = entry.second;
    auto generations = generations_of(key, parts);
    std::erase_if(generations,
                  [&](GenerationView const& it) { return view.has_forgotten(key, it.generation); });
    if (generations.empty()) continue;
    all.push_back(
        {.key = key,
         .inventories = std::make_shared<std::vector<WorkerInventory> const>(std::move(parts)),
         .generations = std::move(generations),
         .manifests = {}});
  }
  return all;
}

CheckpointReport Overview::Found::report(Config const& config,
                                         Circumstances const& circumstances) const {
  // Those that copies can be sent to.
  std::set<std::size_t> taking;
  for (std::size_t worker = 0; worker < circumstances.workers.size(); ++worker) {
    auto const& it = circumstances.workers[worker];
    if (it.state == WorkerState::there && !it.is_draining) taking.insert(worker);
  }
  RingSize const ring{.workers_count = config.workers.size(), .redundancy = config.redundancy};
  CheckpointReport checkpoint{.key = key, .generations = {}};
  for (std::size_t index = 0; index < generations.size(); ++index) {
    auto const& generation = generations[index];
    auto const& manifest = manifests[index];
    auto& report = checkpoint.generations.emplace_back();
    report.generation = generation.generation;
    report.has_manifest = !generation.manifests.empty();
    if (!manifest) {
      report.copies.live = generation.shard_refs.size();
      report.verdict = report.has_manifest ? Verdict::out_of_reach : Verdict::unfinished;
      report.detail = report.has_manifest ? "out of reach: its manifest cannot be read now"
                                          : "unfinished: its store did not end; store it again";
      continue;
    }
    report.copies = count_copies(*manifest, *inventories, config.redundancy);
    auto judgement = judge(*manifest, report.copies, *inventories, circumstances);
    report.verdict = judgement.verdict;
    report.detail = std::move(judgement.words);
    if (report.verdict != Verdict::safe) {
      for (auto const worker : workers_that_lack(*manifest, *inventories, taking, ring)) {
        report.lacking.insert(config.workers[worker].rank.value);
      }
    }
    report.facts = GenerationReport::Facts{.file_bytes = manifest->file_bytes,
                                           .sha256 = manifest->sha256,
                                           .shards_count = manifest->shards.size(),
                                           .mtime_ns = manifest->mtime_ns};
  }
  return checkpoint;
}

// Those that are not kept, several at once: a coordinator that has just started lacks thousands.
Awaitable<void> Overview::fetch_manifests(Config const& config, std::vector<Found>& found) {
  std::vector<std::pair<GenerationView const*, std::shared_ptr<Manifest const>*>> wanted;
  for (auto& checkpoint : found) {
    checkpoint.manifests.resize(checkpoint.generations.size());
    for (std::size_t index = 0; index < checkpoint.generations.size(); ++index) {
      auto const& generation = checkpoint.generations[index];
      if (generation.manifests.empty()) continue;
      auto const known = manifests_.find(generation.manifests.front());
      if (generation.manifests.size() == 1 && known != manifests_.end()) {
        checkpoint.manifests[index] = known->second;
      } else {
        wanted.emplace_back(&generation, &checkpoint.manifests[index]);
      }
    }
  }
  std::size_t next = 0;
  std::set<std::size_t> silent;
  auto const lane = [&]() -> Awaitable<void> {
    while (next < wanted.size()) {
      auto const [generation, place] = wanted[next++];
      auto manifest = co_await fetch_manifest(services_, config, *generation, &silent);
      if (manifest.has_error()) continue;
      *place = std::make_shared<Manifest const>(std::move(manifest).value());
    }
  };
  std::vector<Awaitable<void>> lanes;
  for (std::size_t i = 0; i < manifests_at_once; ++i) lanes.push_back(lane());
  co_await run_all(std::move(lanes));
}

// Those of this time only, so that what is forgotten in the cluster is forgotten here.
void Overview::keep_manifests(std::vector<Found> const& found) {
  manifests_.clear();
  std::size_t shards_count = 0;
  for (auto const& checkpoint : found) {
    for (std::size_t index = 0; index < checkpoint.manifests.size(); ++index) {
      auto const& manifest = checkpoint.manifests[index];
      if (!manifest) continue;
      shards_count += manifest->shards.size();
      if (shards_count > manifest_shards_kept_max) return;
      manifests_.emplace(checkpoint.generations[index].manifests.front(), manifest);
    }
  }
}

Awaitable<std::vector<Overview::Found>> Overview::find(Config const& config, ClusterView& view) {
  // Ten thousand checkpoints are a second's work, which must not hold up every job.
  auto found = co_await services_.offload.run(
      [&] { return Found::group(std::exchange(view.inventories, {}), view); });
  co_await fetch_manifests(config, found);
  co_return found;
}

Awaitable<std::vector<CompleteGeneration>> Overview::complete_generations(Config const& config,
                                                                          ClusterView const& view) {
  // The caller's inventories stay.
  auto copy = co_await services_.offload.run([&] { return view; });
  auto const found = co_await find(config, copy);
  keep_manifests(found);
  std::vector<CompleteGeneration> complete;
  for (auto const& checkpoint : found) {
    for (std::size_t index = 0; index < checkpoint.generations.size(); ++index) {
      auto const& generation = checkpoint.generations[index];
      if (generation.manifests.empty() || !checkpoint.manifests[index]) continue;
      complete.push_back({.key = checkpoint.key,
                          .manifest = checkpoint.manifests[index],
                          .digest = generation.manifests.front(),
                          .inventories = checkpoint.inventories});
    }
  }
  co_return complete;
}

Awaitable<std::vector<CheckpointReport>> Overview::judge_all(Config const& config,
                                                             std::span<Member const> members,
                                                             std::vector<Found> found) {
  auto const circumstances = circumstances_of(services_, config, members);
  co_return co_await services_.offload.run([&] {
    std::vector<CheckpointReport> reports;
    for (auto const& checkpoint : found) {
      reports.push_back(checkpoint.report(config, circumstances));
    }
    return reports;
  });
}

Awaitable<std::vector<CheckpointReport>> Overview::reports(Config const& config,
                                                           ClusterView& view) {
  auto found = co_await find(config, view);
  keep_manifests(found);
  co_return co_await judge_all(config, view.members, std::move(found));
}

Awaitable<std::string> Overview::checkpoints(Config config, Detail detail) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  auto view = co_await survey(services_, config, std::nullopt);
  auto const found = co_await reports(config, view);
  co_return co_await services_.offload.run([&] { return checkpoints_json(found, view, detail); });
}

Awaitable<Overview::Checkpoint> Overview::checkpoint(Config config, CheckpointKey key) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  auto view = co_await survey(services_, config, std::move(key));
  auto found = co_await find(config, view);
  auto reports = co_await judge_all(config, view.members, std::move(found));
  co_return Checkpoint{.reports = std::move(reports), .view = std::move(view)};
}

}  // namespace grove
