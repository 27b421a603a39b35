#include "transfer/json_fields.h"

#include <limits>

namespace grove {

std::string json_text(Json const& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Json> parse_object(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(ErrorKind::invalid, "message: not JSON");
  if (!json.is_object()) return fail(ErrorKind::invalid, "message: not a JSON object");
  return json;
}

Error wrong_field(std::string_view field, std::string_view wanted) {
  return fail(ErrorKind::invalid, "message: field \"{}\" must be {}", field, wanted);
}

Json const* Fields::find(std::string_view field) const {
  auto const found = object_.find(field);
  return found == object_.end() ? nullptr : &*found;
}

Result<std::string> Fields::text(std::string_view field) const {
  Json const* value = find(field);
  if (value == nullptr || !value->is_string()) return wrong_field(field, "a string");
  return value->get<std::string>();
}

Result<std::uint64_t> Fields::count(std::string_view field, std::uint64_t max) const {
  Json const* value = find(field);
  if (value == nullptr || !value->is_number_unsigned() || value->get<std::uint64_t>() > max) {
    return wrong_field(field, fmt::format("a whole number from 0 to {}", max));
  }
  return value->get<std::uint64_t>();
}

Result<std::int64_t> Fields::integer(std::string_view field) const {
  Json const* value = find(field);
  bool const fits = value != nullptr && value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<std::uint64_t>() <=
                         static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  if (!fits) return wrong_field(field, "an integer of 64 bits");
  return value->get<std::int64_t>();
}

Result<bool> Fields::boolean(std::string_view field) const {
  Json const* value = find(field);
  if (value == nullptr || !value->is_boolean()) return wrong_field(field, "true or false");
  return value->get<bool>();
}

Result<Digest> Fields::digest(std::string_view field) const {
  TRY(auto const hex, text(field));
  return Digest::parse(hex);
}

Result<Json const*> Fields::array(std::string_view field, std::size_t count_max) const {
  Json const* value = find(field);
  if (value == nullptr || !value->is_array()) return wrong_field(field, "a list");
  if (value->size() > count_max) {
    return wrong_field(field, fmt::format("a list of at most {}", count_max));
  }
  return value;
}

}  // namespace grove
