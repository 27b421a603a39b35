#include "coordinator/drill_result.h"

#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "base/limits.h"
#include "net/api_reply.h"

namespace grove {
namespace {

using nlohmann::json;

Error not_a_result() {
  return fail(ErrorKind::invalid, "it is not the result of a drill");
}

}  // namespace

std::string serialize(std::optional<DrillResult> const& result) {
  if (!result) return json{{"drill", nullptr}}.dump();
  json const drill = {{"ended_ms", result->ended_ms},
                      {"identity", result->identity},
                      {"generation", result->generation.value},
                      {"bytes", result->bytes},
                      {"seconds", result->time.count()},
                      {"ok", result->is_exact},
                      {"detail", result->detail}};
  // A cause may name a path that is no UTF-8.
  return json{{"drill", drill}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::optional<DrillResult>> parse_drill_result(std::string_view text) {
  auto const document = json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("drill")) return not_a_result();
  auto const& drill = document["drill"];
  if (drill.is_null()) return std::optional<DrillResult>();
  if (!drill.is_object()) return not_a_result();
  auto const ended_ms = field<std::int64_t>(drill, "ended_ms");
  auto identity = field<std::string>(drill, "identity");
  auto const generation = field<std::uint64_t>(drill, "generation");
  auto const bytes = field<std::uint64_t>(drill, "bytes");
  auto const seconds = drill.find("seconds");
  auto const is_exact = field<bool>(drill, "ok");
  auto detail = field<std::string>(drill, "detail");
  bool const is_timed = seconds != drill.end() && seconds->is_number() &&
                        std::isfinite(seconds->get<double>()) && seconds->get<double>() >= 0;
  if (!ended_ms || !identity || !generation || !bytes || !is_timed || !is_exact || !detail) {
    return not_a_result();
  }
  return std::optional(DrillResult{.ended_ms = *ended_ms,
                                   .identity = std::move(*identity),
                                   .generation = {*generation},
                                   .bytes = *bytes,
                                   .time = std::chrono::duration<double>(seconds->get<double>()),
                                   .is_exact = *is_exact,
                                   .detail = std::move(*detail)});
}

Result<void> keep_drill_result(std::filesystem::path const& path, DrillResult const& result) {
  auto const text = serialize(result);
  return write_durably(path, bytes_of(text));
}

Result<std::optional<DrillResult>> read_drill_result(std::filesystem::path const& path) {
  auto const bytes = read_whole(path, limits::drill_result_bytes_max);
  if (bytes.has_error()) {
    if (bytes.error().kind == ErrorKind::not_found) return std::optional<DrillResult>();
    return bytes.error();
  }
  auto result = parse_drill_result(text_of(bytes.value()));
  if (result.has_error()) {
    return fail(ErrorKind::invalid, "{}: {}; it is written anew by the next drill",
                printable(path.native()), result.error().message);
  }
  return result;
}

}  // namespace grove
