#include "transfer/mark_fields.h"

#include "base/limits.h"

namespace grove {

Json tombstone_object(Tombstone const& tombstone) {
  Json object = {{"up_to", tombstone.up_to.value},
                 {"file_bytes", tombstone.file_bytes},
                 {"mtime_ns", tombstone.mtime_ns}};
  if (tombstone.singles.empty()) return object;
  Json singles = Json::array();
  for (auto const single : tombstone.singles) singles.push_back(single.value);
  object["singles"] = std::move(singles);
  return object;
}

Result<Tombstone> tombstone_of(CheckpointKey key, Json const& object) {
  Fields const fields(object);
  TRY(auto const up_to, fields.count("up_to"));
  TRY(auto const file_bytes, fields.count("file_bytes"));
  TRY(auto const mtime_ns, fields.integer("mtime_ns"));
  Tombstone tombstone{.key = std::move(key),
                      .up_to = Generation{up_to},
                      .file_bytes = file_bytes,
                      .mtime_ns = mtime_ns};
  if (fields.find("singles") != nullptr) {
    TRY(auto const* singles, fields.array("singles", limits::tombstone_singles_max));
    for (Json const& item : *singles) {
      if (!item.is_number_unsigned()) return wrong_field("singles", "a list of generations");
      tombstone.singles.push_back(Generation{item.get<std::uint64_t>()});
    }
  }
  TRY(check_tombstone(tombstone));
  return tombstone;
}

Json pin_object(Pin const& pin) {
  return {{"pinned", pin.is_pinned}, {"changed_ms", pin.changed_ms}};
}

Result<Pin> pin_of(CheckpointKey key, Json const& object) {
  Fields const fields(object);
  TRY(auto const is_pinned, fields.boolean("pinned"));
  TRY(auto const changed_ms, fields.integer("changed_ms"));
  return Pin{.key = std::move(key), .is_pinned = is_pinned, .changed_ms = changed_ms};
}

}  // namespace grove
