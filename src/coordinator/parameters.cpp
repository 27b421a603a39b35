#include "coordinator/parameters.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "format/ref.h"

namespace grove {

Awaitable<Result<void>> refuse_parameter(HttpResponder& responder, Error error) {
  // A cause may quote what is no UTF-8.
  nlohmann::json const body{{"detail", printable(error.message)}};
  co_return co_await responder.send_text(422, "application/json", body.dump());
}

Result<std::string> required_param(HttpRequest const& request, std::string_view name) {
  auto value = request.param(name);
  if (!value) return fail(ErrorKind::invalid, "{} is required", name);
  return std::move(*value);
}

Result<std::optional<bool>> flag_param(HttpRequest const& request, std::string_view name) {
  auto const value = request.param(name);
  if (!value) return std::optional<bool>();
  if (*value == "true") return std::optional(true);
  if (*value == "false") return std::optional(false);
  return fail(ErrorKind::invalid, "{} must be true or false: {}", name, printable(*value));
}

Result<std::optional<Generation>> generation_param(HttpRequest const& request) {
  auto const value = request.param("generation");
  if (!value) return std::optional<Generation>();
  auto const generation = parse_generation(*value);
  if (generation.has_value()) return std::optional(generation.value());
  return fail(ErrorKind::invalid, "generation must be a whole number: {}", printable(*value));
}

Result<std::set<Rank>> parse_ranks(std::string_view text, Config const& config) {
  std::set<Rank> ranks;
  while (true) {
    auto const comma = std::min(text.find(','), text.size());
    Rank rank;
    auto const [end, error] = std::from_chars(text.data(), text.data() + comma, rank.value);
    bool const is_number = error == std::errc() && end == text.data() + comma;
    if (!is_number || find_worker(config, rank) == nullptr) {
      return fail(ErrorKind::invalid, "ranks: \"{}\" is no worker's rank",
                  printable(text.substr(0, comma)));
    }
    ranks.insert(rank);
    if (comma == text.size()) break;
    text.remove_prefix(comma + 1);
  }
  return ranks;
}

}  // namespace grove
