// grove doctor: a line for each thing that was looked at, with what to do where something is wrong.
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/config_file.h"
#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "coordinator/doctor.h"

namespace grove {
namespace {

Awaitable<void> examine(Config config, std::vector<Finding>& findings) {
  auto const endpoint = api_endpoint(config);
  auto const facts = co_await look_at_cluster(std::move(config), endpoint);
  findings = findings_of(facts);
}

bool is_wrong(Finding const& finding) {
  return finding.kind == FindingKind::wrong;
}

void print_lines(std::vector<Finding> const& findings) {
  for (auto const& finding : findings) {
    auto const* mark = is_wrong(finding) ? "✗" : finding.kind == FindingKind::note ? "·" : "✓";
    fmt::print("  {} {}: {}{}{}\n", mark, finding.check, finding.text,
               finding.remedy.empty() ? "" : "; ", finding.remedy);
  }
  auto const wrong_count = std::ranges::count_if(findings, is_wrong);
  if (wrong_count == 0) {
    fmt::print("Done: nothing is wrong\n");
  } else {
    fmt::print("ERROR: {} wrong (✗)\n",
               wrong_count == 1 ? "one thing is" : fmt::format("{} things are", wrong_count));
  }
}

void print_json(std::vector<Finding> const& findings) {
  auto rows = nlohmann::json::array();
  for (auto const& finding : findings) {
    rows.push_back({{"check", finding.check},
                    {"state", to_string(finding.kind)},
                    {"text", finding.text},
                    {"remedy", finding.remedy}});
  }
  nlohmann::json const document = {{"findings", std::move(rows)},
                                   {"ok", std::ranges::none_of(findings, is_wrong)}};
  // A file name may hold bytes that are no UTF-8.
  fmt::print("{}\n", document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

int run_doctor(ConfigPath const& config_path, DoctorOptions const& options) {
  std::vector<Finding> findings;
  auto config = find_and_load_config(config_path);
  if (config.has_error()) {
    // Without it there is nothing to look at.
    findings.push_back({FindingKind::wrong, "config", config.error().message, {}});
  } else {
    asio::io_context io(1);
    bool const finished =
        run_interruptible(io, "doctor", examine(std::move(config).value(), findings));
    if (!finished) return interrupted_status;
  }
  if (options.form == Form::json) {
    print_json(findings);
  } else {
    print_lines(findings);
  }
  return std::ranges::any_of(findings, is_wrong) ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace grove
