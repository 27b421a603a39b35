#include "coordinator/overview_json.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace grove {
namespace {

using nlohmann::json;

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
  row["proven_ms"] = report.has_manifest && report.copies.proven_ms ? json(*report.copies.proven_ms)
                                                                    : json(nullptr);
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

json describe(CheckpointReport const& checkpoint, std::set<CheckpointKey> const& pinned) {
  json generations = json::array();
  for (auto const& report : checkpoint.generations) generations.push_back(describe(report));
  return {{"identity", checkpoint.key.identity()},
          {"key", std::string(checkpoint.key.folder())},
          {"pinned", pinned.contains(checkpoint.key)},
          {"generations", std::move(generations)}};
}

// None: nothing is complete.
GenerationReport const* newest_complete(CheckpointReport const& checkpoint) {
  auto const found = std::ranges::find_if(checkpoint.generations, &GenerationReport::has_manifest);
  return found == checkpoint.generations.end() ? nullptr : &*found;
}

json describe_briefly(CheckpointReport const& checkpoint, std::set<CheckpointKey> const& pinned) {
  json generations = json::array();
  if (auto const* newest = newest_complete(checkpoint)) {
    generations.push_back(describe_briefly(*newest));
  }
  return {{"identity", checkpoint.key.identity()},
          {"pinned", pinned.contains(checkpoint.key)},
          {"generations", std::move(generations)}};
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
  if (member.health->is_draining) return "draining";
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

// "checkpoints", "tombstones", "workers_alive" and "workers", without the braces around them.
std::string members_of(std::span<CheckpointReport const> reports, ClusterView const& view,
                       Overview::Detail detail) {
  std::set<CheckpointKey> pinned;
  for (auto const& pin : view.pins) {
    if (pin.is_pinned) pinned.insert(pin.key);
  }
  std::string text = R"("checkpoints":)";
  append_list(text, reports, [&](CheckpointReport const& checkpoint) {
    return detail == Overview::Detail::brief ? describe_briefly(checkpoint, pinned)
                                             : describe(checkpoint, pinned);
  });
  text += R"(,"tombstones":)";
  append_list(text, view.tombstones,
              [](Tombstone const& tombstone) { return describe(tombstone); });
  text +=
      fmt::format(R"(,"workers_alive":{},"workers":{})", view.alive_count(), view.members.size());
  return text;
}

}  // namespace

std::string workers_json(Config const& config, std::span<Member const> members,
                         Presences const& presences,
                         std::optional<std::vector<std::size_t>> const& copies) {
  json rows = json::array();
  for (std::size_t index = 0; index < members.size(); ++index) {
    auto row = describe(members[index], config.workers[members[index].worker_index], presences);
    if (copies) row["copies"] = (*copies)[index];
    rows.push_back(std::move(row));
  }
  return json{{"workers", std::move(rows)}}.dump();
}

std::string checkpoints_json(std::span<CheckpointReport const> reports, ClusterView const& view,
                             Overview::Detail detail) {
  return "{" + members_of(reports, view, detail) + "}";
}

std::string checkpoint_json(std::span<CheckpointReport const> reports, ClusterView const& view,
                            std::optional<OwnFile> const& file) {
  json own;
  if (file) {
    own = {{"bytes", file->stamp.size}, {"mtime_ns", file->stamp.mtime_ns}};
    if (file->is_read) own["sha256"] = file->sha256 ? json(file->sha256->hex()) : json(nullptr);
  }
  return "{" + members_of(reports, view, Overview::Detail::all) + R"(,"file":)" + own.dump() + "}";
}

bool may_be_touched_only(std::span<CheckpointReport const> reports, FileStamp const& stamp) {
  return std::ranges::any_of(reports, [&](CheckpointReport const& checkpoint) {
    auto const* newest = newest_complete(checkpoint);
    return newest != nullptr && newest->facts && newest->facts->file_bytes == stamp.size &&
           newest->facts->mtime_ns != stamp.mtime_ns;
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
