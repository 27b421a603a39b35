#include "watcher/catalog.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "net/api_reply.h"

namespace grove {
namespace {

using nlohmann::json;

Error not_ours(std::string_view call) {
  return fail(ErrorKind::internal,
              "{}: the API's answer is not what this version knows; is it of the same version?",
              call);
}

// Of a row's generations, newest first.
std::optional<StoredCheckpoint> newest_complete(json const& generations) {
  for (auto const& generation : generations) {
    if (!generation.is_object()) continue;
    auto const number = field<std::uint64_t>(generation, "generation");
    auto const bytes = field<std::uint64_t>(generation, "bytes");
    auto const mtime_ns = field<std::int64_t>(generation, "mtime_ns");
    auto const shards_count = field<std::uint64_t>(generation, "shards");
    auto const verdict = field<std::string>(generation, "verdict");
    auto const* const lacking = rows_of(generation, "lacking");
    auto const safety = field<std::string>(generation, "safety");
    bool const is_safe = safety == "safe";
    if (field<std::string>(generation, "state") != "complete" || !number) continue;
    return StoredCheckpoint{.generation = *number,
                            .bytes = bytes.value_or(0),
                            .mtime_ns = mtime_ns.value_or(0),
                            .shards_count = shards_count.value_or(0),
                            .is_safe = is_safe,
                            .is_healing = safety == "healing",
                            .is_lacking = lacking != nullptr && !lacking->empty(),
                            .verdict = is_safe ? "" : verdict.value_or("")};
  }
  return std::nullopt;
}

}  // namespace

bool Catalog::has(std::string const& identity, FileVersion version) const {
  auto const found = stored.find(identity);
  return found != stored.end() && found->second.bytes == version.size &&
         found->second.mtime_ns == version.mtime_ns;
}

bool Catalog::has_forgotten(std::string const& identity, FileVersion version) const {
  auto const found = forgotten.find(identity);
  return found != forgotten.end() && found->second.bytes == version.size &&
         found->second.mtime_ns == version.mtime_ns;
}

namespace {

// Takes the rows one by one, so that no more than one is there as a document.
class CatalogReader {
 public:
  // As nlohmann::json::parser_callback_t; false: what was parsed is not kept.
  bool take(int depth, json::parse_event_t event, json const& parsed) {
    constexpr int list_depth = 1;
    if (event == json::parse_event_t::key && depth == list_depth) {
      list_ = parsed.get<std::string>();
    }
    if (event != json::parse_event_t::object_end || depth != list_depth + 1) return true;
    if (list_ == "checkpoints") is_sound_ = is_sound_ && take_checkpoint(parsed);
    if (list_ == "tombstones") is_sound_ = is_sound_ && take_tombstone(parsed);
    return false;
  }

  // `rest`: the document without those rows.
  Result<Catalog> finish(json const& rest) {
    for (auto const* list : {"checkpoints", "tombstones"}) {
      auto const* const rows = rows_of(rest, list);
      is_sound_ = is_sound_ && rows != nullptr && rows->empty();
    }
    if (!is_sound_) return not_ours("GET /checkpoints");
    // What was stored again after it was forgotten is stored.
    for (auto const& [identity, up_to] : forgotten_up_to_) {
      auto const stored = catalog_.stored.find(identity);
      if (stored == catalog_.stored.end()) continue;
      if (stored->second.generation > up_to) {
        catalog_.forgotten.erase(identity);
      } else {
        catalog_.stored.erase(stored);
      }
    }
    return std::move(catalog_);
  }

 private:
  bool take_checkpoint(json const& row) {
    auto const* const generations = rows_of(row, "generations");
    auto const identity = field<std::string>(row, "identity");
    if (generations == nullptr || !identity) return false;
    if (auto stored = newest_complete(*generations)) catalog_.stored.emplace(*identity, *stored);
    if (field<bool>(row, "pinned").value_or(false)) catalog_.pinned.insert(*identity);
    return true;
  }

  bool take_tombstone(json const& row) {
    auto const identity = field<std::string>(row, "identity");
    auto const up_to = field<std::uint64_t>(row, "up_to");
    auto const bytes = field<std::uint64_t>(row, "bytes");
    auto const mtime_ns = field<std::int64_t>(row, "mtime_ns");
    if (!identity || !up_to || !bytes || !mtime_ns) return false;
    auto const known = forgotten_up_to_.find(*identity);
    if (known != forgotten_up_to_.end() && known->second > *up_to) return true;
    forgotten_up_to_[*identity] = *up_to;
    catalog_.forgotten[*identity] = {.bytes = *bytes, .mtime_ns = *mtime_ns};
    return true;
  }

  Catalog catalog_;
  std::map<std::string, std::uint64_t> forgotten_up_to_;
  std::string list_;  // that is being read
  bool is_sound_ = true;
};

}  // namespace

Result<Catalog> parse_catalog(std::string_view text) {
  CatalogReader reader;
  auto const take = [&](int depth, json::parse_event_t event, json& parsed) {
    return reader.take(depth, event, parsed);
  };
  auto const rest = json::parse(text, take, false);
  return reader.finish(rest);
}

namespace {

// Calls `take` with each row of the answer's list of workers; false: it is not what it should be.
template <typename Take>
Result<void> take_workers(std::string_view text, std::string_view call, Take take) {
  auto const document = json::parse(text, nullptr, false);
  auto const* const rows = rows_of(document, "workers");
  if (rows == nullptr) return not_ours(call);
  for (auto const& row : *rows) {
    if (!row.is_object() || !take(row)) return not_ours(call);
  }
  return ok();
}

}  // namespace

Result<ClusterMembers> parse_members(std::string_view text) {
  ClusterMembers found;
  auto const take = [&](json const& row) {
    auto const rank = field<std::uint64_t>(row, "rank");
    auto const alive = field<bool>(row, "alive");
    if (!rank || !alive) return false;
    ++found.count;
    if (!*alive) {
      found.silent.push_back(field<std::string>(row, "detail").value_or(""));
      return true;
    }
    ++found.alive_count;
    found.members += fmt::format("{}={} ", *rank, field<std::string>(row, "id").value_or(""));
    found.inventories += field<std::string>(row, "inventory").value_or("") + " ";
    return true;
  };
  TRY(take_workers(text, "GET /workers", take));
  return found;
}

Result<ToldWorkers> parse_told(std::string_view text) {
  ToldWorkers told;
  auto const take = [&](json const& row) {
    auto const kept = field<bool>(row, "kept");
    if (!kept) return false;
    if (*kept) ++told.kept_count;
    if (!*kept && told.detail.empty()) {
      told.detail = field<std::string>(row, "detail").value_or("");
    }
    return true;
  };
  TRY(take_workers(text, "PUT /expected", take));
  return told;
}

}  // namespace grove
