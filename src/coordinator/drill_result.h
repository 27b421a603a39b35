// What came of a drill, and its JSON: the answer of GET /drill, and the file in which a coordinator
// keeps the last one over its restarts.
// Not here: drills (drill.h).
// Threads: values; those that take a path block on the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "format/manifest.h"

namespace grove {

struct DrillResult {
  std::int64_t ended_ms = 0;             // wall clock
  std::string identity;                  // empty: none was chosen
  Generation generation{};               // 0: none was found
  std::uint64_t bytes = 0;               // likewise
  std::chrono::duration<double> time{};  // until the file was there, durable
  bool is_exact = false;
  std::string detail;  // "the exact bytes", or why not

  friend bool operator==(DrillResult const&, DrillResult const&) = default;
};

// {"drill": {"ended_ms", "identity", "generation", "bytes", "seconds", "ok", "detail"}}, or
// {"drill": null}
std::string serialize(std::optional<DrillResult> const& result);
// What serialize gave. None: null. Fails: invalid (anything else).
Result<std::optional<DrillResult>> parse_drill_result(std::string_view text);

// Replaces what was kept there, durably. Fails: as write_durably.
Result<void> keep_drill_result(std::filesystem::path const& path, DrillResult const& result);
// None: nothing is kept. Fails: invalid (damaged), as read_whole.
Result<std::optional<DrillResult>> read_drill_result(std::filesystem::path const& path);

}  // namespace grove
