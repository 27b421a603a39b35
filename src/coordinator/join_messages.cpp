#include "coordinator/join_messages.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "transfer/worker_messages.h"

namespace grove {
namespace {

using nlohmann::json;

// An instance is one label (RFC 6763, 4.1.1).
constexpr std::size_t instance_bytes_max = 63;

Error wrong(char const* what, char const* why) {
  return fail(ErrorKind::invalid, "{} {}", what, why);
}

Result<std::string> text(json const& document, char const* field, std::size_t bytes_max) {
  auto const found = document.find(field);
  if (found == document.end() || !found->is_string()) return wrong(field, "must be a text");
  auto value = found->get<std::string>();
  if (value.empty() || value.size() > bytes_max) return wrong(field, "is empty or too long");
  for (char const c : value) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return wrong(field, "has a control character in it");
  }
  return value;
}

// A whole number from 1 on; none where there is no such field, or null.
template <typename Number>
Result<std::optional<Number>> number(json const& document, char const* field) {
  auto const found = document.find(field);
  if (found == document.end() || found->is_null()) return std::optional<Number>();
  if (!found->is_number_unsigned()) return wrong(field, "must be a whole number");
  auto const value = found->get<std::uint64_t>();
  if (value < 1 || value > std::numeric_limits<Number>::max()) {
    return wrong(field, "is out of range");
  }
  return std::optional<Number>(static_cast<Number>(value));
}

}  // namespace

std::string serialize_join(JoinRequest const& request) {
  json document{{"host", request.host}, {"id", request.id}};
  if (request.remembered) document["rank"] = request.remembered->value;
  if (request.port) document["port"] = *request.port;
  return document.dump();
}

Result<JoinRequest> parse_join(std::string_view body) {
  auto const document = json::parse(body, nullptr, false);
  if (!document.is_object()) return wrong("the body", "must be a JSON object");
  JoinRequest request;
  TRY(request.host, text(document, "host", limits::name_bytes_max));
  TRY(request.id, text(document, "id", limits::name_bytes_max));
  TRY(auto const rank, number<std::uint32_t>(document, "rank"));
  if (rank) request.remembered = Rank{*rank};
  TRY(request.port, number<std::uint16_t>(document, "port"));
  return request;
}

std::string serialize_progress(JoinProgress const& progress) {
  return json{{"joined", progress.joined}, {"wanted", progress.wanted}}.dump();
}

std::string serialize_grant(JoinGrant const& grant) {
  return json{{"rank", grant.rank.value}, {"config", grant.config}}.dump();
}

Result<JoinLine> parse_join_line(std::string_view line) {
  if (auto const failure = parse_failure(line)) return *failure;
  auto const document = json::parse(line, nullptr, false);
  if (!document.is_object()) return wrong("the line", "must be a JSON object");
  JoinLine parsed;
  if (document.contains("config")) {
    JoinGrant grant;
    TRY(auto const rank, number<std::uint32_t>(document, "rank"));
    if (!rank) return wrong("rank", "is missing");
    grant.rank = Rank{*rank};
    if (!document["config"].is_string()) return wrong("config", "must be a text");
    grant.config = document["config"].get<std::string>();
    parsed.grant = std::move(grant);
    return parsed;
  }
  TRY(auto const joined, number<std::uint32_t>(document, "joined"));
  TRY(auto const wanted, number<std::uint32_t>(document, "wanted"));
  if (!joined || !wanted) return wrong("the line", "is neither progress nor a grant");
  parsed.progress = JoinProgress{.joined = *joined, .wanted = *wanted};
  return parsed;
}

MdnsService announce_master(std::string const& host, std::uint16_t port, std::size_t wanted) {
  auto const tail = fmt::format(" port {}", port);
  return {.type = master_service_type,
          .instance = host.substr(0, instance_bytes_max - tail.size()) + tail,
          .port = port,
          .txt = {{"host", host}, {"workers", std::to_string(wanted)}}};
}

}  // namespace grove
