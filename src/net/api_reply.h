// Parts of the API's own JSON answers. Nothing foreign is read by these: a document of another
// shape is an API of another version, and whoever reads it says so.
// Not here: the calls (api_client.h). Threads: values.
#pragma once

#include <optional>
#include <string>
#include <type_traits>

#include <nlohmann/json.hpp>

namespace grove {

// The field of that name, where there is one of that type; integers may be of any width and sign.
template <typename T>
std::optional<T> field(nlohmann::json const& object, char const* name) {
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

// The list of that name; nullptr where there is none.
inline nlohmann::json const* rows_of(nlohmann::json const& document, char const* name) {
  if (!document.is_object()) return nullptr;
  auto const found = document.find(name);
  return found != document.end() && found->is_array() ? &*found : nullptr;
}

}  // namespace grove
