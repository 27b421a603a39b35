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

// Manifests are about 100 bytes a shard: some MB at the most.
constexpr std::size_t manifests_kept_max = 10'000;

struct CopyCount {
  std::size_t live = 0;  // over all shards, each worker's sound copy
  std::size_t wanted = 0;
  std::size_t fewest = 0;  // of any one shard
  std::set<std::size_t> holders;
};

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories) {
  auto const key = CheckpointKey::parse(manifest.identity);
  CopyCount count;
  std::vector<std::size_t> per_shard(manifest.shards.size(), 0);
  for (auto const& inventory : inventories) {
    for (auto const& held : inventory.refs) {
      auto const& ref = held.ref;
      if (!ref.name.shard || !held.is_sound || ref.key != key.value()) continue;
      if (ref.generation != manifest.generation) continue;
      auto const index = ref.name.shard->value;
      if (index >= per_shard.size() || ref.target != manifest.shards[index].list) continue;
      ++per_shard[index];
      ++count.live;
      count.holders.insert(inventory.worker_index);
    }
  }
  count.wanted = manifest.shards.size() * manifest.redundancy;
  count.fewest = per_shard.empty() ? 0 : *std::min_element(per_shard.begin(), per_shard.end());
  return count;
}

std::string verdict(CopyCount const& count, Manifest const& manifest, Config const& config,
                    bool all_answer) {
  if (count.fewest == 0) {
    return all_answer ? "lost: a shard has no sound copy on any worker"
                      : "out of reach: a shard has no copy on the workers that answer";
  }
  if (count.fewest < manifest.redundancy) {
    return fmt::format("at risk: {} of {} copies", count.fewest, manifest.redundancy);
  }
  std::vector<std::string> hosts;
  for (auto const index : count.holders) hosts.push_back(config.workers[index].host);
  return fmt::format("safe: {} of {} copies on {}",
                     std::min<std::size_t>(count.fewest, manifest.redundancy), manifest.redundancy,
                     fmt::join(hosts, ", "));
}

json describe(Member const& member, DeviceConfig const& device) {
  json row{{"rank", device.rank.value},
           {"host", device.host},
           {"ip", device.ip},
           {"port", device.port},
           {"alive", member.health.has_value()}};
  row["detail"] = member.health ? "" : member.error.message;
  row["id"] = member.health ? json(member.health->id) : json(nullptr);
  row["free_bytes"] = member.health ? json(member.health->free_bytes) : json(nullptr);
  row["total_bytes"] = member.health ? json(member.health->total_bytes) : json(nullptr);
  row["reserved_bytes"] = member.health ? json(member.health->reserved_bytes) : json(nullptr);
  row["version"] = member.health ? json(member.health->version) : json(nullptr);
  return row;
}

}  // namespace

Awaitable<std::string> Overview::workers(Config config) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  auto const view = co_await survey(services_, config, std::nullopt);
  json rows = json::array();
  for (auto const& member : view.members) {
    auto row = describe(member, config.workers[member.worker_index]);
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

Awaitable<std::optional<Manifest>> Overview::manifest_of(Config const& config,
                                                         GenerationView const& generation) {
  if (generation.manifests.size() == 1) {
    auto const known = manifests_.find(generation.manifests.front());
    if (known != manifests_.end()) co_return known->second;
  }
  auto manifest = co_await fetch_manifest(services_, config, generation);
  if (manifest.has_error()) co_return std::nullopt;
  if (manifests_.size() >= manifests_kept_max) manifests_.clear();
  manifests_.emplace(generation.manifests.front(), manifest.value());
  co_return std::move(manifest).value();
}

Awaitable<std::string> Overview::checkpoints(Config config) {
  co_await follow_moved_workers(services_, config, LookUp::remembered, [](std::string) {});
  auto const view = co_await survey(services_, config, std::nullopt);
  bool const all_answer = view.alive_count() == view.members.size();
  std::set<CheckpointKey> keys;
  for (auto const& inventory : view.inventories) {
    for (auto const& held : inventory.refs) keys.insert(held.ref.key);
  }
  json rows = json::array();
  for (auto const& key : keys) {
    json generations = json::array();
    for (auto const& generation : generations_of(key, view.inventories)) {
      json row{{"generation", generation.generation.value}};
      auto const manifest = co_await manifest_of(config, generation);
      if (manifest) {
        auto const count = count_copies(*manifest, view.inventories);
        row["state"] = "complete";
        row["bytes"] = manifest->file_bytes;
        row["sha256"] = manifest->sha256.hex();
        row["shards"] = manifest->shards.size();
        row["mtime_ns"] = manifest->mtime_ns;
        row["copies_live"] = count.live;
        row["copies_wanted"] = count.wanted;
        row["verdict"] = verdict(count, *manifest, config, all_answer);
      } else {
        row["state"] = generation.manifests.empty() ? "unfinished" : "complete";
        row["bytes"] = nullptr;
        row["copies_live"] = generation.shard_refs.size();
        row["copies_wanted"] = nullptr;
        row["verdict"] = generation.manifests.empty()
                             ? "unfinished: its store did not end; store it again"
                             : "out of reach: its manifest cannot be read now";
      }
      generations.push_back(std::move(row));
    }
    rows.push_back({{"identity", key.identity()},
                    {"key", std::string(key.folder())},
                    {"generations", std::move(generations)}});
  }
  co_return json{{"checkpoints", std::move(rows)},
                 {"workers_alive", view.alive_count()},
                 {"workers", view.members.size()}}
      .dump();
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
              {"bytes_sent", http.bytes_sent()},
              {"bytes_received", http.bytes_received()}}
      .dump();
}

}  // namespace grove
