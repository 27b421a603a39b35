// config.yaml → Config. Read afresh on every request; a bad file is one line that names file, line
// and, for an unknown key, the nearest known one. Keys: docs/operations.md#configyaml.
// Not here: command-line options (cli/), limits nobody sets (base/limits.h).
// Threads: values; parse_config is pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace grove {

// A worker's number in config.yaml. Not an integer that could be mixed up with an index.
struct Rank {
  std::uint32_t value = 0;
  friend auto operator<=>(Rank const&, Rank const&) = default;
};

struct DeviceConfig {
  std::string host;  // the name shown to people, "pi4-1"
  std::string ip;    // an address or a resolvable name; a hint (DHCP may move it)
  Rank rank;
  std::uint16_t port = 0;
};

enum class Switch { automatic, on, off };  // in YAML: auto, on/true, off/false
// Of the threads that read, hash and encode.
enum class IoPriority { normal, low, idle };
// As in YAML.
std::string_view to_string(Switch value);
std::string_view to_string(IoPriority priority);

struct WorkPriority {
  int nice = 10;  // 0 to 19, as in nice(1)
  IoPriority io = IoPriority::normal;
};

struct Retention {
  std::optional<std::uint64_t> keep_last;
  std::optional<std::uint64_t> keep_every;
};

struct Config {
  std::filesystem::path source;     // the file it was read from
  std::filesystem::path ckpt_root;  // absolute, `~` expanded, not resolved
  std::uint32_t n_chunks = 0;       // shards per checkpoint; defaults to num_workers
  std::vector<DeviceConfig> masters;
  std::vector<DeviceConfig> workers;  // in the file's order: the ring
  std::uint32_t redundancy = 2;
  bool keep_shards = true;
  std::filesystem::path shards_root;  // default: `shards` beside ckpt_root
  std::string api_host = "127.0.0.1";
  std::uint16_t api_port = 8000;
  std::vector<std::string> api_hosts;
  Switch compression = Switch::automatic;
  Switch delta = Switch::automatic;
  bool stand_ins = true;
  std::chrono::milliseconds repair_after = std::chrono::minutes(10);
  std::chrono::milliseconds scrub_every = std::chrono::hours(24 * 7);
  // How long what nothing names any more stays on a worker.
  std::chrono::milliseconds collect_after = std::chrono::hours(24);
  std::uint32_t generations = 1;
  Retention retention;
  std::optional<double> bandwidth_limit_mb_per_s;
  WorkPriority priority;
  // `reserve`: a share of the disk ("5 %" is 0.05) or a size ("2 GiB"); without it, 5 % or 1 GiB,
  // whichever is less.
  std::optional<double> reserve_share;
  std::optional<std::uint64_t> reserve_bytes;
  // Lines a person should see once: keys of older versions that are accepted and ignored.
  std::vector<std::string> notices;
};

// Parses YAML text. `source` is only for messages ("configs/config.yaml:12: …").
// Fails: invalid.
Result<Config> parse_config(std::string_view yaml, std::filesystem::path const& source);

// The entry of `rank` among the workers; nullptr where there is none.
DeviceConfig const* find_worker(Config const& config, Rank rank);

// $HOME, else the user's in the system's list, else /.
std::filesystem::path home_folder();

// How much a worker leaves free on a disk of `total_bytes`.
std::uint64_t reserved_bytes(Config const& config, std::uint64_t total_bytes);

// "1.5s", "10m", "7d", "500ms" → milliseconds, at least one. Fails: invalid.
Result<std::chrono::milliseconds> parse_period(std::string_view text);

}  // namespace grove
