#include "transfer/worker_messages.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/limits.h"
#include "format/text.h"
#include "transfer/json_fields.h"
#include "transfer/mark_fields.h"

namespace grove {
namespace {

constexpr std::size_t id_digits = 32;

Json digest_array(std::span<Digest const> digests) {
  Json array = Json::array();
  for (Digest const& digest : digests) array.push_back(digest.hex());
  return array;
}

Result<std::vector<Digest>> digests_of(Json const& object, std::string_view field,
                                       std::size_t count_max) {
  TRY(auto const* array, Fields(object).array(field, count_max));
  std::vector<Digest> digests;
  digests.reserve(array->size());
  for (Json const& item : *array) {
    if (!item.is_string()) return wrong_field(field, "a list of digests");
    TRY(auto const digest, Digest::parse(item.get_ref<std::string const&>()));
    digests.push_back(digest);
  }
  return digests;
}

// A list as long as `chunks`, of digests and nulls.
Result<void> add_bases(Json const& list, std::vector<WantedChunk>& chunks) {
  if (!list.is_array() || list.size() != chunks.size()) {
    return wrong_field("bases", "a list as long as \"chunks\"");
  }
  for (std::size_t index = 0; index < chunks.size(); ++index) {
    Json const& item = list[index];
    if (item.is_null()) continue;
    if (!item.is_string()) return wrong_field("bases", "a list of digests and nulls");
    TRY(chunks[index].base, Digest::parse(item.get_ref<std::string const&>()));
  }
  return ok();
}

Json address_object(WorkerAddress const& address) {
  return {{"rank", address.rank.value},
          {"id", address.id},
          {"host", address.endpoint.host},
          {"port", address.endpoint.port},
          {"name", address.endpoint.name}};
}

bool is_name(std::string_view text) {
  return text.size() <= limits::name_bytes_max && is_plain_text(text);
}

bool is_worker_id(std::string_view id) {
  return id.size() == id_digits && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<WorkerAddress> address_of(Json const& object) {
  if (!object.is_object()) return fail(ErrorKind::invalid, "message: a worker must be an object");
  Fields const fields(object);
  WorkerAddress address;
  TRY(auto const rank, fields.count("rank", std::numeric_limits<std::uint32_t>::max()));
  TRY(address.id, fields.text("id"));
  TRY(address.endpoint.host, fields.text("host"));
  TRY(auto const port, fields.count("port", std::numeric_limits<std::uint16_t>::max()));
  if (fields.find("name") != nullptr) {
    TRY(address.endpoint.name, fields.text("name"));
  }
  if (!address.id.empty() && !is_worker_id(address.id)) {
    return wrong_field("id", "32 lower-case hex digits");
  }
  if (address.endpoint.host.empty()) return wrong_field("host", "an address");
  address.rank = Rank{static_cast<std::uint32_t>(rank)};
  address.endpoint.port = static_cast<std::uint16_t>(port);
  return address;
}

// "holds": names of refs, without repeats; none where it is left out.
Result<std::vector<RefName>> names_of(Json const& witness) {
  std::vector<RefName> names;
  Fields const fields(witness);
  if (fields.find("holds") == nullptr) return names;
  TRY(auto const* array, fields.array("holds", limits::shards_count_max + 1));
  for (Json const& item : *array) {
    if (!item.is_string()) return wrong_field("holds", "a list of names of refs");
    TRY(auto const name, RefName::parse(item.get_ref<std::string const&>()));
    names.push_back(name);
  }
  std::ranges::sort(names);
  if (std::ranges::adjacent_find(names) != names.end()) {
    return wrong_field("holds", "a list of names, each once");
  }
  return names;
}

Json error_object(Error const& error) {
  return {{"detail", error.message}, {"kind", to_string(error.kind)}};
}

std::optional<Error> error_of(Json const& object) {
  if (!object.is_object()) return std::nullopt;
  Fields const fields(object);
  auto const detail = fields.text("detail");
  auto const kind = fields.text("kind");
  if (!detail || !kind) return std::nullopt;
  return Error{parse_error_kind(kind.value()), detail.value()};
}

Result<RefReport> report_of(Json const& object) {
  if (!object.is_object()) return wrong_field("refs", "a list of objects");
  Fields const fields(object);
  TRY(auto const identity, fields.text("identity"));
  TRY(auto key, CheckpointKey::parse(identity));
  TRY(auto const generation, fields.count("generation"));
  TRY(auto const name_text, fields.text("name"));
  TRY(auto const name, RefName::parse(name_text));
  TRY(auto const target, fields.digest("target"));
  TRY(auto const missing, fields.count("missing"));
  TRY(auto const bytes, fields.count("bytes"));
  Json const* verified = fields.find("verified_ms");
  std::optional<std::int64_t> verified_ms;
  if (verified != nullptr && !verified->is_null()) {
    TRY(verified_ms, fields.integer("verified_ms"));
  }
  return RefReport{.ref = {.key = std::move(key),
                           .generation = Generation{generation},
                           .name = name,
                           .target = target},
                   .missing_count = missing,
                   .bytes = bytes,
                   .verified_ms = verified_ms};
}

Json report_object(RefReport const& report) {
  Json object = {{"identity", report.ref.key.identity()},
                 {"generation", report.ref.generation.value},
                 {"name", report.ref.name.text()},
                 {"target", report.ref.target.hex()},
                 {"state", report.missing_count == 0 ? "ok" : "damaged"},
                 {"missing", report.missing_count},
                 {"bytes", report.bytes},
                 {"verified_ms", nullptr}};
  if (report.verified_ms) object["verified_ms"] = *report.verified_ms;
  return object;
}

}  // namespace

std::string serialize_health(WorkerHealth const& health) {
  return json_text({{"rank", health.rank.value},
                    {"id", health.id},
                    {"host", health.host},
                    {"version", health.version},
                    {"format", health.format},
                    {"free_bytes", health.free_bytes},
                    {"total_bytes", health.total_bytes},
                    {"reserved_bytes", health.reserved_bytes},
                    {"inventory", health.inventory},
                    {"draining", health.is_draining},
                    {"clock_ms", health.clock_ms},
                    {"coordinators", health.coordinators},
                    {"file_system", health.file_system}});
}

Result<WorkerHealth> parse_health(std::string_view json) {
  TRY(auto const object, parse_object(json));
  Fields const fields(object);
  WorkerHealth health;
  TRY(auto const rank, fields.count("rank", std::numeric_limits<std::uint32_t>::max()));
  TRY(auto const format, fields.count("format", std::numeric_limits<std::uint32_t>::max()));
  TRY(health.id, fields.text("id"));
  TRY(health.host, fields.text("host"));
  TRY(health.version, fields.text("version"));
  TRY(health.free_bytes, fields.count("free_bytes"));
  TRY(health.total_bytes, fields.count("total_bytes"));
  TRY(health.reserved_bytes, fields.count("reserved_bytes"));
  TRY(health.inventory, fields.text("inventory"));
  // Not told by older workers.
  if (fields.find("draining") != nullptr) {
    TRY(health.is_draining, fields.boolean("draining"));
  }
  if (fields.find("clock_ms") != nullptr) {
    TRY(health.clock_ms, fields.integer("clock_ms"));
  }
  if (fields.find("coordinators") != nullptr) {
    TRY(health.coordinators, fields.count("coordinators"));
  }
  if (fields.find("file_system") != nullptr) {
    TRY(health.file_system, fields.text("file_system"));
  }
  if (!is_name(health.file_system)) {
    return wrong_field("file_system", "plain text of at most 255 bytes");
  }
  if (!is_worker_id(health.id)) return wrong_field("id", "32 lower-case hex digits");
  // Both are shown to people.
  if (!is_name(health.host)) return wrong_field("host", "plain text of at most 255 bytes");
  if (!is_name(health.version)) return wrong_field("version", "plain text of at most 255 bytes");
  health.rank = Rank{static_cast<std::uint32_t>(rank)};
  health.format = static_cast<std::uint32_t>(format);
  return health;
}

Result<ScrubSummary> parse_scrub(std::string_view json) {
  TRY(auto const object, parse_object(json));
  Fields const fields(object);
  ScrubSummary summary;
  TRY(summary.chunks_read, fields.count("chunks_read"));
  TRY(summary.bytes_read, fields.count("bytes_read"));
  TRY(summary.refs_verified, fields.count("refs_verified"));
  // Not told by older workers.
  if (fields.find("refs_not_whole") != nullptr) {
    TRY(summary.refs_not_whole, fields.count("refs_not_whole"));
    TRY(summary.missing_count, fields.count("missing"));
  }
  TRY(auto const* damaged, fields.array("damaged", SIZE_MAX));
  summary.damaged_count = damaged->size();
  return summary;
}

std::string serialize_inventory(InventoryPage const& page) {
  Json refs = Json::array();
  for (RefReport const& report : page.refs) refs.push_back(report_object(report));
  Json tombstones = Json::array();
  for (Tombstone const& tombstone : page.tombstones) {
    Json object = tombstone_object(tombstone);
    object["identity"] = tombstone.key.identity();
    tombstones.push_back(std::move(object));
  }
  Json pins = Json::array();
  for (Pin const& pin : page.pins) {
    Json object = pin_object(pin);
    object["identity"] = pin.key.identity();
    pins.push_back(std::move(object));
  }
  return json_text({{"refs", std::move(refs)},
                    {"tombstones", std::move(tombstones)},
                    {"pins", std::move(pins)},
                    {"next", page.next}});
}

Result<InventoryPage> parse_inventory(std::string_view json) {
  TRY(auto const object, parse_object(json));
  Fields const fields(object);
  InventoryPage page;
  TRY(page.next, fields.text("next"));
  TRY(auto const* refs, fields.array("refs", SIZE_MAX));
  for (Json const& item : *refs) {
    TRY(auto report, report_of(item));
    page.refs.push_back(std::move(report));
  }
  TRY(page.tombstones, marks_of<Tombstone>(object, "tombstones", tombstone_of));
  // Not told by older workers.
  if (fields.find("pins") != nullptr) {
    TRY(page.pins, marks_of<Pin>(object, "pins", pin_of));
  }
  return page;
}

std::string serialize_address(WorkerAddress const& address) {
  return json_text(address_object(address));
}

Result<WorkerAddress> parse_address(std::string_view json) {
  TRY(auto const object, parse_object(json));
  return address_of(object);
}

std::string serialize_digests(std::string_view field, std::span<Digest const> digests) {
  Json object = Json::object();
  object[std::string(field)] = digest_array(digests);
  return json_text(object);
}

Result<std::vector<Digest>> parse_digests(std::string_view field, std::string_view json) {
  TRY(auto const object, parse_object(json));
  return digests_of(object, field, limits::digests_per_call_max);
}

std::vector<WantedChunk> wanted_whole(std::span<Digest const> digests) {
  std::vector<WantedChunk> wanted;
  wanted.reserve(digests.size());
  for (Digest const& digest : digests) wanted.push_back({.digest = digest});
  return wanted;
}

std::string serialize_pull(WorkerAddress const& from, std::span<WantedChunk const> chunks) {
  Json digests = Json::array();
  Json bases = Json::array();
  bool has_bases = false;
  for (WantedChunk const& chunk : chunks) {
    digests.push_back(chunk.digest.hex());
    bases.push_back(chunk.base ? Json(chunk.base->hex()) : Json(nullptr));
    has_bases = has_bases || chunk.base;
  }
  Json object = {{"from", address_object(from)}, {"chunks", std::move(digests)}};
  if (has_bases) object["bases"] = std::move(bases);
  return json_text(object);
}

Result<PullRequest> parse_pull(std::string_view json) {
  TRY(auto const object, parse_object(json));
  Json const* from = Fields(object).find("from");
  if (from == nullptr) return wrong_field("from", "a worker");
  PullRequest request;
  TRY(request.from, address_of(*from));
  TRY(auto const digests, digests_of(object, "chunks", limits::digests_per_call_max));
  request.chunks = wanted_whole(digests);
  if (Json const* bases = Fields(object).find("bases")) {
    TRY(add_bases(*bases, request.chunks));
  }
  return request;
}

std::string serialize_outcome(PullOutcome const& outcome) {
  Json object = {{"chunk", outcome.chunk.hex()}, {"outcome", "ok"}};
  if (outcome.error) {
    object["outcome"] = to_string(outcome.error->kind);
    object["detail"] = outcome.error->message;
  }
  return json_text(object);
}

Result<PullOutcome> parse_outcome(std::string_view json) {
  if (auto failure = parse_failure(json)) return *failure;
  TRY(auto const object, parse_object(json));
  Fields const fields(object);
  PullOutcome outcome;
  TRY(outcome.chunk, fields.digest("chunk"));
  TRY(auto const word, fields.text("outcome"));
  if (word != "ok") {
    TRY(auto detail, fields.text("detail"));
    outcome.error = Error{parse_error_kind(word), std::move(detail)};
  }
  return outcome;
}

std::string serialize_ref_target(Digest const& target) {
  return json_text(Json{{"target", target.hex()}});
}

Result<Digest> parse_ref_target(std::string_view json) {
  TRY(auto const object, parse_object(json));
  return Fields(object).digest("target");
}

std::string serialize_deletion(std::span<DeletionWitness const> witnesses,
                               std::optional<Generation> newer) {
  Json array = Json::array();
  for (DeletionWitness const& witness : witnesses) {
    Json item = address_object(witness.address);
    if (!witness.holds.empty()) {
      Json holds = Json::array();
      for (RefName const& name : witness.holds) holds.push_back(name.text());
      item["holds"] = std::move(holds);
    }
    array.push_back(std::move(item));
  }
  Json object = Json::object();
  object["witnesses"] = std::move(array);
  if (newer) object["newer"] = newer->value;
  return json_text(object);
}

Result<DeletionGrounds> parse_deletion(std::string_view json) {
  TRY(auto const object, parse_object(json));
  Fields const fields(object);
  DeletionGrounds grounds;
  if (fields.find("newer") != nullptr) {
    TRY(auto const newer, fields.count("newer"));
    grounds.newer = Generation{newer};
  }
  TRY(auto const* array, fields.array("witnesses", limits::workers_count_max));
  for (Json const& item : *array) {
    TRY(auto address, address_of(item));
    TRY(auto holds, names_of(item));
    if (holds.empty() == grounds.newer.has_value()) {
      return wrong_field("holds", grounds.newer ? "what the witness has of \"newer\""
                                                : "left out where there is no \"newer\"");
    }
    grounds.witnesses.push_back({.address = std::move(address), .holds = std::move(holds)});
  }
  return grounds;
}

std::string serialize_pin_body(Pin const& pin) {
  return json_text(pin_object(pin));
}

Result<Pin> parse_pin_body(CheckpointKey key, std::string_view json) {
  TRY(auto const object, parse_object(json));
  return pin_of(std::move(key), object);
}

std::string serialize_drain(bool is_draining) {
  return json_text(Json{{"draining", is_draining}});
}

Result<bool> parse_drain(std::string_view json) {
  TRY(auto const object, parse_object(json));
  return Fields(object).boolean("draining");
}

std::string serialize_tombstone_body(Tombstone const& tombstone) {
  return json_text(tombstone_object(tombstone));
}

Result<Tombstone> parse_tombstone_body(CheckpointKey key, std::string_view json) {
  TRY(auto const object, parse_object(json));
  return tombstone_of(std::move(key), object);
}

std::string serialize_missing(Error const& error, std::span<Digest const> missing) {
  Json object = error_object(error);
  object["missing"] = digest_array(missing);
  return json_text(object);
}

std::string serialize_failure(Error const& error) {
  Json object = Json::object();
  object["error"] = error_object(error);
  return json_text(object);
}

std::optional<Error> parse_failure(std::string_view json) {
  auto const object = parse_object(json);
  if (!object) return std::nullopt;
  Json const* error = Fields(object.value()).find("error");
  return error == nullptr ? std::nullopt : error_of(*error);
}

Error parse_error_reply(unsigned status, std::string_view body) {
  if (auto const object = parse_object(body)) {
    if (auto error = error_of(object.value())) return *error;
  }
  // A proxy in between may recover by itself; anything else that is no worker will not.
  auto const kind = status >= 502 && status <= 504 ? ErrorKind::unavailable : ErrorKind::internal;
  return fail(kind, "answered {}, not as a worker does; check the address", status);
}

}  // namespace grove
