#include "coordinator/overview.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "coordinator/locate.h"
#include "coordinator/moved_workers.h"

namespace grove {
namespace {

using nlohmann::json;

// What is kept of manifests takes about 60 bytes a shard.
constexpr std::size_t manifest_shards_kept_max = 1'000'000;

std::string words_of(Verdict verdict, CopyCount const& copies, Manifest const& manifest,
                     Config const& config) {
  switch (verdict) {
    case Verdict::safe: {
      std::vector<std::string> hosts;
      for (auto const index : copies.holders) hosts.push_back(config.workers[index].host);
      return fmt::format("safe: {} of {} copies on {}",
                         std::min<std::size_t>(copies.fewest, manifest.redundancy),
                         manifest.redundancy, fmt::join(hosts, ", "));
    }
    case Verdict::at_risk:
      return fmt::format("at risk: {} of {} copies", copies.fewest, manifest.redundancy);
    case Verdict::out_of_reach:
      return "out of reach: a shard has no copy on the workers that answer";
    case Verdict::lost:
      return "lost: a shard has no sound copy on any worker";
    case Verdict::unfinished:
      break;
  }
  return {};  // without a manifest there is nothing to count
}

void add_facts(json& row, GenerationReport::Facts const& facts) {
  row["bytes"] = facts.file_bytes;
  row["shards"] = facts.shards_count;
  row["mtime_ns"] = facts.mtime_ns;
}

json describe(GenerationReport const& report) {
  json row{{"generation", report.generation.value},
           {"state", report.has_manifest ? "complete" : "unfinished"},
           {"copies_live", report.copies.live},
           {"safety", std::string(to_string(report.verdict))},
           {"verdict", report.detail},
           {"bytes", nullptr}};
  row["copies_wanted"] = report.facts ? json(report.copies.wanted) : json(nullptr);
  if (report.facts) {
    add_facts(row, *report.facts);
    row["sha256"] = report.facts->sha256.hex();
  }
  if (report.facts && report.verdict != Verdict::safe) row["lacking"] = report.lacking;
  return row;
}

json describe_briefly(GenerationReport const& report) {
  json row{{"generation", report.generation.value},
           {"state", "complete"},
           {"safety", std::string(to_string(report.verdict))}};
  if (report.facts) add_facts(row, *report.facts);
  if (report.verdict == Verdict::safe) return row;
  row["verdict"] = report.detail;
  row["lacking"] = report.lacking;
  return row;
}

json describe(CheckpointReport const& checkpoint) {
  json generations = json::array();
  for (auto const& report : checkpoint.generations) generations.push_back(describe(report));
  return {{"identity", checkpoint.key.identity()},
          {"key", std::string(checkpoint.key.folder())},
          {"generations", std::move(generations)}};
}

json describe_briefly(CheckpointReport const& checkpoint) {
  json generations = json::array();
  auto const newest =
      std::find_if(checkpoint.generations.begin(), checkpoint.generations.end(),
                   [](GenerationReport const& report) { return report.has_manifest; });
  if (newest != checkpoint.generations.end()) generations.push_back(describe_briefly(*newest));
  return {{"identity", checkpoint.key.identity()}, {"generations", std::move(generations)}};
}

json describe(Tombstone const& tombstone) {
  return {{"identity", tombstone.key.identity()},
          {"up_to", tombstone.up_to.value},
          {"bytes", tombstone.file_bytes},
          {"mtime_ns", tombstone.mtime_ns}};
}

// One value after the other, so that there is never a document of them all beside its text.
template <typename Values, typename Describe>
void append_list(std::string& text, Values const& values, Describe describe_one) {
  char separator = '[';
  for (auto const& value : values) {
    text += separator;
    text += describe_one(value).dump();
    separator = ',';
  }
  text += values.empty() ? "[]" : "]";
}

// What was seen just now wins over what the watch saw some seconds ago.
std::string_view presence_of(Member const& member, Presences::State const* watched) {
  if (!member.health) {
    bool const is_down = watched == nullptr || watched->presence == Presence::down;
    return to_string(is_down ? Presence::down : Presence::late);
  }
  bool const has_room = member.health->free_bytes > member.health->reserved_bytes;
  return to_string(has_room ? Presence::up : Presence::full);
}

json describe(Member const& member, DeviceConfig const& device, Presences const& presences) {
  json row{{"rank", device.rank.value},
           {"host", device.host},
           {"ip", device.ip},
           {"port", device.port},
           {"alive", member.health.has_value()},
           {"presence", presence_of(member, presences.find(device.rank))}};
  row["detail"] = member.health ? "" : member.error.message;
  row["id"] = member.health ? json(member.health->id) : json(nullptr);
  row["free_bytes"] = member.health ? json(member.health->free_bytes) : json(nullptr);
  row["total_bytes"] = member.health ? json(member.health->total_bytes) : json(nullptr);
  row["reserved_bytes"] = member.health ? json(member.health->reserved_bytes) : json(nullptr);
  row["inventory"] = member.health ? json(member.health->inventory) : json(nullptr);
  row["version"] = member.health ? json(member.health->version) : json(nullptr);
  return row;
}

}  // namespace

Awaitable<std::string> Overview::workers(Config config, Copies copies_wanted) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  if (copies_wanted == Copies::left_out) {
    json rows = json::array();
    auto const members = co_await probe(services_, config);
    for (auto const& member : members) {
      rows.push_back(describe(member, config.workers[member.worker_index], services_.presences));
    }
    co_return json{{"workers", std::move(rows)}}.dump();
  }
  auto const view = co_await survey(services_, config, std::nullopt);
  json rows = json::array();
  for (auto const& member : view.members) {
    auto row = describe(member, config.workers[member.worker_index], services_.presences);
    std::size_t copies = 0;
    for (auto const& inventory : view.inventories) {
      if (inventory.worker_index != member.worker_index) continue;
      copies += static_cast<std::size_t>(
          std::count_if(inventory.refs.begin(), inventory.refs.end(),
                        [](HeldRef const& held) { return held.ref.name.shard.has_value(); }));
    }
    row["copies"] = copies;
    rows.push_back(std::move(row));
  }
  co_return json{{"workers", std::move(rows)}}.dump();
}

struct Overview::Found {
  CheckpointKey key;
  std::vector<WorkerInventory> inventories;                // its refs only
  std::vector<GenerationView> generations;                 // newest first
  std::vector<std::shared_ptr<Manifest const>> manifests;  // of each; null: cannot be had

  // Sorted by key.
  static std::vector<Found> group(std::vector<WorkerInventory> inventories);
  CheckpointReport report(Config const& config, std::set<std::size_t> const& answering) const;
};

std::vector<Overview::Found> Overview::Found::group(std::vector<WorkerInventory> inventories) {
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
  for (auto& [key, parts] : by_key) {
    auto generations = generations_of(key, parts);
    all.push_back({.key = key,
                   .inventories = std::move(parts),
                   .generations = std::move(generations),
                   .manifests = {}});
  }
  return all;
}

CheckpointReport Overview::Found::report(Config const& config,
                                         std::set<std::size_t> const& answering) const {
  bool const all_answer = answering.size() == config.workers.size();
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
    report.copies = count_copies(*manifest, inventories);
    report.verdict = judge(report.copies, *manifest, all_answer);
    report.detail = words_of(report.verdict, report.copies, *manifest, config);
    if (report.verdict != Verdict::safe) {
      for (auto const worker : workers_that_lack(*manifest, inventories, answering, ring)) {
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

Awaitable<std::shared_ptr<Manifest const>> Overview::manifest_of(Config const& config,
                                                                 GenerationView const& generation) {
  if (generation.manifests.size() == 1) {
    auto const known = manifests_.find(generation.manifests.front());
    if (known != manifests_.end()) co_return known->second;
  }
  auto manifest = co_await fetch_manifest(services_, config, generation);
  if (manifest.has_error()) co_return nullptr;
  co_return std::make_shared<Manifest const>(std::move(manifest).value());
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

Awaitable<std::vector<Overview::Found>> Overview::find_all(
    Config const& config, std::vector<WorkerInventory> inventories) {
  // Ten thousand checkpoints are a second's work, which must not hold up every job.
  auto found = co_await services_.offload.run([&] { return Found::group(std::move(inventories)); });
  for (auto& checkpoint : found) {
    for (auto const& generation : checkpoint.generations) {
      auto manifest = co_await manifest_of(config, generation);
      checkpoint.manifests.push_back(std::move(manifest));
    }
  }
  keep_manifests(found);
  co_return found;
}

Awaitable<std::vector<CompleteGeneration>> Overview::complete_generations(
    Config const& config, std::vector<WorkerInventory> inventories,
    std::vector<Tombstone> tombstones, std::size_t count) {
  auto const found = co_await find_all(config, std::move(inventories));
  std::map<CheckpointKey, Generation> forgotten;
  for (auto const& tombstone : tombstones) {
    auto& up_to = forgotten[tombstone.key];
    up_to = std::max(up_to, tombstone.up_to);
  }
  std::vector<CompleteGeneration> complete;
  for (auto const& checkpoint : found) {
    std::size_t taken = 0;
    for (std::size_t index = 0; index < checkpoint.generations.size() && taken < count; ++index) {
      auto const& generation = checkpoint.generations[index];
      auto const gone = forgotten.find(checkpoint.key);
      if (gone != forgotten.end() && generation.generation <= gone->second) break;
      if (generation.manifests.empty()) continue;
      if (!checkpoint.manifests[index]) continue;
      ++taken;
      complete.push_back({.key = checkpoint.key,
                          .manifest = checkpoint.manifests[index],
                          .digest = generation.manifests.front(),
                          .inventories = checkpoint.inventories});
    }
  }
  co_return complete;
}

Awaitable<std::vector<CheckpointReport>> Overview::reports(
    Config const& config, std::vector<WorkerInventory> inventories) {
  std::set<std::size_t> answering;
  for (auto const& inventory : inventories) answering.insert(inventory.worker_index);
  auto const found = co_await find_all(config, std::move(inventories));
  co_return co_await services_.offload.run([&] {
    std::vector<CheckpointReport> reports;
    for (auto const& checkpoint : found) reports.push_back(checkpoint.report(config, answering));
    return reports;
  });
}

Awaitable<std::string> Overview::checkpoints(Config config, Detail detail) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  auto view = co_await survey(services_, config, std::nullopt);
  auto const alive_count = view.alive_count();
  auto const found = co_await reports(config, std::move(view.inventories));
  co_return co_await services_.offload.run([&] {
    std::string text = R"({"checkpoints":)";
    append_list(text, found, [detail](CheckpointReport const& checkpoint) {
      return detail == Detail::brief ? describe_briefly(checkpoint) : describe(checkpoint);
    });
    text += R"(,"tombstones":)";
    append_list(text, view.tombstones,
                [](Tombstone const& tombstone) { return describe(tombstone); });
    text += fmt::format(R"(,"workers_alive":{},"workers":{}}})", alive_count, view.members.size());
    return text;
  });
}

std::string jobs_json(std::vector<std::shared_ptr<Job>> const& jobs, HttpClient const& http) {
  json rows = json::array();
  for (auto const& job : jobs) {
    auto const rate = job->is_finished() ? 0.0 : job->bytes_per_second();
    auto const done = std::min(job->bytes_done(), job->bytes_total());
    json row{{"id", job->id()},
             {"kind", std::string(to_string(job->kind()))},
             {"identity", job->identity()},
             {"state", std::string(to_string(job->state()))},
             {"bytes_done", done},
             {"bytes_total", job->bytes_total()},
             {"bytes_per_second", rate},
             {"started_ms", job->started_ms()},
             {"lines", job->lines().size()}};
    row["finished_ms"] = job->is_finished() ? json(job->finished_ms()) : json(nullptr);
    // Before the first per cent the rate says nothing.
    row["seconds_left"] =
        rate > 0 && done >= job->bytes_total() / 100
            ? json(std::ceil(static_cast<double>(job->bytes_total() - done) / rate))
            : json(nullptr);
    rows.push_back(std::move(row));
  }
  return json{{"jobs", std::move(rows)},
              {"bytes_sent", http.traffic().sent},
              {"bytes_received", http.traffic().received}}
      .dump();
}

}  // namespace grove
