// grove status, grove ls, grove version: what the API says, as tables or as JSON.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/wall_clock.h"
#include "cli/api_endpoint.h"
#include "cli/checkpoint_safety.h"
#include "cli/commands.h"
#include "net/api_client.h"
#include "net/task_group.h"

namespace grove {
namespace {

using nlohmann::json;

constexpr double mib = 1024.0 * 1024.0;
constexpr double gib = 1024.0 * mib;

Awaitable<void> get_all(Endpoint endpoint, std::vector<std::string> targets,
                        Result<std::vector<json>>& documents) {
  ApiClient api(co_await asio::this_coro::executor, endpoint);
  std::vector<json> parsed;
  for (auto const& target : targets) {
    auto reply = co_await api.get(target);
    if (reply.has_error()) {
      documents = std::move(reply).error();
      co_return;
    }
    parsed.push_back(json::parse(reply.value(), nullptr, false));
    if (!parsed.back().is_object()) {
      documents = fail(ErrorKind::internal, "{} did not answer with a JSON document", target);
      co_return;
    }
  }
  documents = std::move(parsed);
}

// The documents behind `targets`, or nothing after the error has been printed.
std::vector<json> fetch(ConfigPath const& config, std::vector<std::string> targets) {
  Result<std::vector<json>> documents = fail(ErrorKind::internal, "nothing was asked");
  auto endpoint = api_endpoint(config);
  if (endpoint.has_error()) {
    documents = std::move(endpoint).error();
  } else {
    asio::io_context io(1);
    TaskGroup tasks(io.get_executor());
    tasks.spawn("get", get_all(endpoint.value(), std::move(targets), documents));
    io.run();
  }
  if (documents.has_value()) return std::move(documents).value();
  fmt::print(stderr, "ERROR: {}\n", documents.error().message);
  return {};
}

std::string text_of(json const& row, char const* field) {
  auto const found = row.find(field);
  if (found == row.end() || found->is_null()) return "-";
  return printable(found->is_string() ? found->get<std::string>() : found->dump());
}

std::string size_of(json const& row, char const* field, double unit, char const* name) {
  auto const found = row.find(field);
  if (found == row.end() || !found->is_number()) return "-";
  return fmt::format("{:.1f} {}", found->get<double>() / unit, name);
}

// "3 h ago", of a moment in ms of the wall clock.
std::string age_of(json const& row, char const* field) {
  auto const found = row.find(field);
  if (found == row.end() || !found->is_number()) return "-";
  auto const seconds =
      std::max<std::int64_t>(0, wall_clock_ms() - found->get<std::int64_t>()) / 1000;
  if (seconds < 2 * 60) return fmt::format("{} s ago", seconds);
  if (seconds < 2 * 3600) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 2 * 86'400) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} d ago", seconds / 86'400);
}

void print_workers(json const& document) {
  fmt::print("{:>4}  {:<16} {:<22} {:<8} {:>7} {:>12} {:>12}\n", "RANK", "HOST", "ADDRESS", "STATE",
             "COPIES", "FREE", "OF");
  for (auto const& row : document["workers"]) {
    bool const alive = row.value("alive", false);
    auto const address = text_of(row, "ip") + ":" + text_of(row, "port");
    fmt::print("{:>4}  {:<16} {:<22} {:<8} {:>7} {:>12} {:>12}\n", text_of(row, "rank"),
               text_of(row, "host"), address, text_of(row, "presence"), text_of(row, "copies"),
               size_of(row, "free_bytes", gib, "GiB"), size_of(row, "total_bytes", gib, "GiB"));
    if (!alive) fmt::print("      {}\n", text_of(row, "detail"));
  }
}

void print_checkpoints(json const& document) {
  fmt::print("{:<44} {:<15} {:>12} {:>10}  {}\n", "CHECKPOINT", "GENERATION", "SIZE", "PROVEN",
             "VERDICT");
  for (auto const& checkpoint : document["checkpoints"]) {
    auto const name = text_of(checkpoint, "identity");
    auto const* pinned = checkpoint.value("pinned", false) ? " (pinned)" : "";
    for (auto const& generation : checkpoint["generations"]) {
      fmt::print("{:<44} {:<15} {:>12} {:>10}  {}{}\n", name, text_of(generation, "generation"),
                 size_of(generation, "bytes", mib, "MB"), age_of(generation, "proven_ms"),
                 text_of(generation, "verdict"), pinned);
    }
  }
}

void print_running(json const& document) {
  for (auto const& job : document["jobs"]) {
    auto const state = text_of(job, "state");
    if (state != "running" && state != "queued") continue;
    fmt::print("{} {} {}: {} of {}\n", state, text_of(job, "kind"), text_of(job, "identity"),
               size_of(job, "bytes_done", mib, "MB"), size_of(job, "bytes_total", mib, "MB"));
  }
}

void print_drill(json const& document) {
  auto const& drill = document["drill"];
  if (!drill.is_object()) return;
  auto const size = size_of(drill, "bytes", mib, "MB");
  if (drill.value("ok", false)) {
    fmt::print("last drill {}: {} ({}) restored in {:.1f} s\n", age_of(drill, "ended_ms"),
               text_of(drill, "identity"), size, drill.value("seconds", 0.0));
  } else {
    fmt::print("last drill {}: FAILED: {}: {}\n", age_of(drill, "ended_ms"),
               text_of(drill, "identity"), text_of(drill, "detail"));
  }
}

}  // namespace

int run_status(ConfigPath const& config, StatusOptions const& options) {
  if (options.ckpt_path) return show_safety(config, options);
  auto const documents = fetch(config, {"/workers", "/checkpoints", "/jobs", "/drill"});
  if (documents.empty()) return EXIT_FAILURE;
  if (options.form == Form::json) {
    json all = documents[0];
    all["checkpoints"] = documents[1]["checkpoints"];
    all["jobs"] = documents[2]["jobs"];
    all["drill"] = documents[3]["drill"];
    fmt::print("{}\n", all.dump());
    return EXIT_SUCCESS;
  }
  print_workers(documents[0]);
  fmt::print("\n");
  print_checkpoints(documents[1]);
  print_running(documents[2]);
  print_drill(documents[3]);
  return EXIT_SUCCESS;
}

int run_list(ConfigPath const& config, ListOptions const& options) {
  auto const documents = fetch(config, {"/checkpoints"});
  if (documents.empty()) return EXIT_FAILURE;
  if (options.form == Form::json) {
    fmt::print("{}\n", documents[0].dump());
  } else {
    print_checkpoints(documents[0]);
  }
  return EXIT_SUCCESS;
}

int run_version(VersionOptions const& options) {
  if (options.form == Form::json) {
    fmt::print("{}\n", json{{"version", GROVE_VERSION}}.dump());
  } else {
    fmt::print("grove {}\n", GROVE_VERSION);
  }
  return EXIT_SUCCESS;
}

}  // namespace grove
