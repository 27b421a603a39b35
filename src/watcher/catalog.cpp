#include "watcher/catalog.h"

#include <optional>

#include <nlohmann/json.hpp>

namespace grove {
namespace {

using nlohmann::json;

// Nothing foreign is read by these: a document of another shape is an API of another version.
template <typename T>
std::optional<T> field(json const& object, char const* name) {
  auto const found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return std::nullopt;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) return std::nullopt;
  } else {
    if (!found->is_number_integer()) return std::nullopt;
  }
  return found->template get<T>();
}

Error not_ours(std::string_view call) {
  return fail(ErrorKind::internal,
              "{}: the API's answer is not what this version knows; is it of the same version?",
              call);
}

json const* rows_of(json const& document, char const* name) {
  if (!document.is_object()) return nullptr;
  auto const found = document.find(name);
  return found != document.end() && found->is_array() ? &*found : nullptr;
}

// Of a row's generations, newest first.
std::optional<StoredCheckpoint> newest_complete(json const& generations) {
  for (auto const& generation : generations) {
    if (!generation.is_object()) continue;
    auto const number = field<std::uint64_t>(generation, "generation");
    auto const bytes = field<std::uint64_t>(generation, "bytes");
    auto const mtime_ns = field<std::int64_t>(generation, "mtime_ns");
    auto const shards_count = field<std::uint64_t>(generation, "shards");
    if (field<std::string>(generation, "state") != "complete" || !number) continue;
    return StoredCheckpoint{.generation = *number,
                            .bytes = bytes.value_or(0),
                            .mtime_ns = mtime_ns.value_or(0),
                            .shards_count = shards_count.value_or(0),
                            .is_safe = field<std::string>(generation, "safety") == "safe",
                            .verdict = field<std::string>(generation, "verdict").value_or("")};
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

Result<Catalog> parse_catalog(std::string_view text) {
  auto const document = json::parse(text, nullptr, false);
  auto const* const rows = rows_of(document, "checkpoints");
  auto const* const tombstones = rows_of(document, "tombstones");
  if (rows == nullptr || tombstones == nullptr) return not_ours("GET /checkpoints");
  Catalog catalog;
  for (auto const& row : *rows) {
    auto const* const generations = rows_of(row, "generations");
    if (generations == nullptr) return not_ours("GET /checkpoints");
    auto const identity = field<std::string>(row, "identity");
    if (!identity) return not_ours("GET /checkpoints");
    if (auto stored = newest_complete(*generations)) catalog.stored.emplace(*identity, *stored);
  }
  std::map<std::string, std::uint64_t> newest;
  for (auto const& row : *tombstones) {
    if (!row.is_object()) return not_ours("GET /checkpoints");
    auto const identity = field<std::string>(row, "identity");
    auto const up_to = field<std::uint64_t>(row, "up_to");
    auto const bytes = field<std::uint64_t>(row, "bytes");
    auto const mtime_ns = field<std::int64_t>(row, "mtime_ns");
    if (!identity || !up_to || !bytes || !mtime_ns) return not_ours("GET /checkpoints");
    if (auto const known = newest.find(*identity);
        known != newest.end() && known->second > *up_to) {
      continue;
    }
    newest[*identity] = *up_to;
    catalog.forgotten[*identity] = {.bytes = *bytes, .mtime_ns = *mtime_ns};
  }
  // What was stored again after it was forgotten is stored.
  for (auto const& [identity, up_to] : newest) {
    auto const stored = catalog.stored.find(identity);
    if (stored == catalog.stored.end()) continue;
    if (stored->second.generation > up_to) {
      catalog.forgotten.erase(identity);
    } else {
      catalog.stored.erase(stored);
    }
  }
  return catalog;
}

Result<ClusterMembers> parse_members(std::string_view text) {
  auto const document = json::parse(text, nullptr, false);
  auto const* const rows = rows_of(document, "workers");
  if (rows == nullptr) return not_ours("GET /workers");
  ClusterMembers found;
  for (auto const& row : *rows) {
    if (!row.is_object()) return not_ours("GET /workers");
    auto const rank = field<std::uint64_t>(row, "rank");
    auto const alive = field<bool>(row, "alive");
    if (!rank || !alive) return not_ours("GET /workers");
    ++found.count;
    if (!*alive) {
      found.silent.push_back(field<std::string>(row, "detail").value_or(""));
      continue;
    }
    ++found.alive_count;
    found.members += fmt::format("{}={} ", *rank, field<std::string>(row, "id").value_or(""));
    found.inventories += field<std::string>(row, "inventory").value_or("") + " ";
  }
  return found;
}

}  // namespace grove
