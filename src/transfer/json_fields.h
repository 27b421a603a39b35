// A JSON document of the worker's interface as it is taken apart: one object whose members are
// checked for their types as they are taken. Not here: what the documents hold
// (transfer/worker_messages.h). Everything fails with `invalid`, naming the field. Threads: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/error.h"

namespace grove {

using Json = nlohmann::json;

// On one line. Messages may carry bytes of a hostile request; those that are not UTF-8 are
// replaced, not thrown over.
std::string json_text(Json const& json);
Result<Json> parse_object(std::string_view text);
// "field … must be …"
Error wrong_field(std::string_view field, std::string_view wanted);

// `object` must outlive it, and what it returns pointers to.
class Fields {
 public:
  explicit Fields(Json const& object) : object_(object) {}

  Json const* find(std::string_view field) const;  // null: no such member
  Result<std::string> text(std::string_view field) const;
  Result<std::uint64_t> count(std::string_view field, std::uint64_t max = UINT64_MAX) const;
  Result<std::int64_t> integer(std::string_view field) const;
  Result<bool> boolean(std::string_view field) const;
  Result<Digest> digest(std::string_view field) const;
  Result<Json const*> array(std::string_view field, std::size_t count_max) const;

 private:
  Json const& object_;
};

}  // namespace grove
