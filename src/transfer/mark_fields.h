// Tombstones and pins as members of the documents of the worker's interface, both directions.
// Not here: the documents (transfer/worker_messages.h). Every parser fails with `invalid`, naming
// the field. Threads: pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "format/key.h"
#include "format/ref.h"
#include "transfer/json_fields.h"

namespace grove {

Json tombstone_object(Tombstone const& tombstone);
Result<Tombstone> tombstone_of(CheckpointKey key, Json const& object);

Json pin_object(Pin const& pin);
Result<Pin> pin_of(CheckpointKey key, Json const& object);

// Tombstones or pins: objects with an identity.
template <typename Mark>
Result<std::vector<Mark>> marks_of(Json const& object, std::string_view field,
                                   Result<Mark> (*mark_of)(CheckpointKey, Json const&)) {
  TRY(auto const* array, Fields(object).array(field, SIZE_MAX));
  std::vector<Mark> marks;
  for (Json const& item : *array) {
    if (!item.is_object()) return wrong_field(field, "a list of objects");
    TRY(auto const identity, Fields(item).text("identity"));
    TRY(auto key, CheckpointKey::parse(identity));
    TRY(auto mark, mark_of(std::move(key), item));
    marks.push_back(std::move(mark));
  }
  return marks;
}

}  // namespace grove
