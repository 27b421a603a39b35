#include "base/config.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "base/limits.h"
#include "base/yaml_map.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 20> config_keys{
    "ckpt_root",       "n_chunks",     "num_workers", "devices_config", "redundancy",
    "keep_shards",     "shards_root",  "api",         "compression",    "delta",
    "stand_ins",       "repair_after", "scrub_every", "generations",    "retention",
    "bandwidth_limit", "reserve",      "nice",        "ionice",         "collect_after"};
// Keys of older versions.
constexpr std::array<std::string_view, 2> ignored_keys{"data_path", "save_path"};
constexpr std::array<std::string_view, 2> devices_keys{"master", "workers"};
constexpr std::array<std::string_view, 4> device_keys{"host", "ip", "rank", "port"};
constexpr std::array<std::string_view, 3> api_keys{"host", "port", "hosts"};
constexpr std::array<std::string_view, 2> retention_keys{"keep_last", "keep_every"};

constexpr std::size_t api_hosts_count_max = 256;
constexpr std::size_t masters_count_max = 16;
constexpr double reserve_share_default = 0.05;
constexpr std::uint64_t reserve_bytes_default_max = limits::gib;
constexpr double periods_max_ms = 1000.0 * 86400 * 36500;  // a hundred years

struct Quantity {
  double value = 0;
  std::string_view unit;
};

// "1.5 GiB" → 1.5 and "GiB".
std::optional<Quantity> parse_quantity(std::string_view text) {
  double value = 0;
  auto const [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  return Quantity{value, unit};
}

std::optional<double> unit_size(std::span<std::pair<std::string_view, double> const> units,
                                std::string_view unit) {
  auto const found = std::find_if(units.begin(), units.end(),
                                  [&](auto const& candidate) { return candidate.first == unit; });
  if (found == units.end()) return std::nullopt;
  return found->second;
}

constexpr double kib = static_cast<double>(limits::kib);
constexpr std::array<std::pair<std::string_view, double>, 11> size_units{
    {{"", 1},
     {"B", 1},
     {"kB", 1e3},
     {"KB", 1e3},
     {"MB", 1e6},
     {"GB", 1e9},
     {"TB", 1e12},
     {"KiB", kib},
     {"MiB", kib* kib},
     {"GiB", kib* kib* kib},
     {"TiB", kib* kib* kib* kib}}};

// An absolute path without `~`, doubled or trailing slashes.
Result<fs::path> read_folder(YamlMap const& map, std::string_view key) {
  TRY(auto text, map.text(key, ""));
  if (text == "~" || text.starts_with("~/")) text = home_folder().native() + text.substr(1);
  fs::path path(text);
  if (!path.is_absolute()) {
    return map.complaint(
        key, fmt::format("must be an absolute path or start with ~/, not \"{}\"", printable(text)));
  }
  if (std::find(path.begin(), path.end(), "..") != path.end()) {
    return map.complaint(key, fmt::format("must not have \"..\" in it: {}", printable(text)));
  }
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path == path.root_path()) return map.complaint(key, "must be a folder below /, not / itself");
  return path;
}

bool is_inside(fs::path const& path, fs::path const& folder) {
  auto const [rest_of_folder, rest] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return rest_of_folder == folder.end();
}

Result<void> read_folders(YamlMap const& map, Config& config) {
  TRY(map.require("ckpt_root"));
  TRY(config.ckpt_root, read_folder(map, "ckpt_root"));
  config.shards_root = config.ckpt_root.parent_path() / "shards";
  if (map.has("shards_root")) {
    TRY(config.shards_root, read_folder(map, "shards_root"));
  }
  if (is_inside(config.shards_root, config.ckpt_root)) {
    return map.complaint(
        map.has("shards_root") ? "shards_root" : "ckpt_root",
        fmt::format("puts the shards ({}) inside ckpt_root ({}); give shards_root a place outside",
                    printable(config.shards_root.native()), printable(config.ckpt_root.native())));
  }
  return ok();
}

// An address or a name, as it may stand in a URL's host.
bool is_address(std::string_view text) {
  return text.size() <= limits::name_bytes_max && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  std::string_view("-._:%").find(c) != std::string_view::npos;
         });
}

Result<std::string> read_address(YamlMap const& map, std::string_view key,
                                 std::string_view otherwise) {
  TRY(auto text, map.text(key, otherwise));
  if (!is_address(text)) {
    return map.complaint(
        key, fmt::format("must be an address or a name without port or path, not \"{}\"",
                         printable(text)));
  }
  return text;
}

Result<DeviceConfig> read_device(YamlMap const& map) {
  for (std::string_view const key : device_keys) {
    TRY(map.require(key));
  }
  DeviceConfig device;
  TRY(device.host, map.text("host", ""));
  if (device.host.size() > limits::name_bytes_max) {
    return map.complaint("host", fmt::format("must have at most {} bytes", limits::name_bytes_max));
  }
  TRY(device.ip, read_address(map, "ip", ""));
  TRY(device.rank.value, map.number<std::uint32_t>("rank", {}, 0));
  TRY(device.port, map.number<std::uint16_t>("port", {.min = 1}, 0));
  return device;
}

// Keeps what no two devices may share, with the place where it was seen first.
class Uniqueness {
 public:
  Result<void> add(YamlMap const& map, DeviceConfig const& device) {
    auto const [same_rank, new_rank] = ranks_.try_emplace(device.rank, map.where("rank"));
    if (!new_rank) {
      return map.complaint(
          "rank", fmt::format("{} is taken already ({})", device.rank.value, same_rank->second));
    }
    std::string const address = fmt::format("{}:{}", device.ip, device.port);
    auto const [same_address, new_address] = addresses_.try_emplace(address, map.where("port"));
    if (!new_address) {
      return map.complaint("port", fmt::format("makes {}, which is taken already ({})", address,
                                               same_address->second));
    }
    return ok();
  }

 private:
  std::map<Rank, std::string> ranks_;
  std::map<std::string, std::string> addresses_;
};

Result<void> read_devices(YamlMap const& map, Config& config) {
  TRY(map.require("devices_config"));
  TRY(auto const devices, map.map("devices_config", devices_keys));
  TRY(devices.require("workers"));
  TRY(auto const masters, devices.maps("master", device_keys, masters_count_max));
  TRY(auto const workers, devices.maps("workers", device_keys, limits::workers_count_max));
  if (workers.empty()) return devices.complaint("workers", "must have at least one worker");

  Uniqueness uniqueness;
  for (YamlMap const& master : masters) {
    TRY(auto device, read_device(master));
    TRY(uniqueness.add(master, device));
    config.masters.push_back(std::move(device));
  }
  for (YamlMap const& worker : workers) {
    TRY(auto device, read_device(worker));
    if (device.rank.value == 0) {
      return worker.complaint("rank", "must not be 0, the master's; workers count from 1");
    }
    TRY(uniqueness.add(worker, device));
    config.workers.push_back(std::move(device));
  }
  return ok();
}

Result<void> read_counts(YamlMap const& map, Config& config) {
  auto const workers_count = static_cast<std::uint32_t>(config.workers.size());
  TRY(map.require("num_workers"));
  TRY(auto const num_workers,
      map.number<std::uint32_t>("num_workers", {.min = 1, .max = limits::workers_count_max}, 0));
  if (num_workers != workers_count) {
    return map.complaint("num_workers", fmt::format("is {}, but devices_config.workers has {}",
                                                    num_workers, workers_count));
  }
  TRY(config.n_chunks, map.number<std::uint32_t>(
                           "n_chunks", {.min = 1, .max = limits::shards_count_max}, workers_count));
  TRY(config.redundancy,
      map.number<std::uint32_t>("redundancy", {.min = 1, .max = limits::workers_count_max},
                                config.redundancy));
  if (config.redundancy > workers_count) {
    return map.complaint(
        map.has("redundancy") ? "redundancy" : "num_workers",
        fmt::format("asks for {} copies on different workers, but there {} {}; add workers or "
                    "lower redundancy",
                    config.redundancy, workers_count == 1 ? "is only" : "are only", workers_count));
  }
  TRY(config.generations, map.number<std::uint32_t>("generations", {.min = 1}, config.generations));
  return ok();
}

Result<void> read_api(YamlMap const& map, Config& config) {
  if (!map.has("api")) return ok();
  TRY(auto const api, map.map("api", api_keys));
  TRY(config.api_host, read_address(api, "host", config.api_host));
  TRY(config.api_port, api.number<std::uint16_t>("port", {.min = 1}, config.api_port));
  TRY(config.api_hosts, api.texts("hosts", api_hosts_count_max));
  for (std::string const& host : config.api_hosts) {
    if (!is_address(host)) {
      return api.complaint("hosts", fmt::format("must be addresses or names without port or path, "
                                                "not \"{}\"",
                                                printable(host)));
    }
  }
  return ok();
}

Result<Switch> read_switch(YamlMap const& map, std::string_view key, Switch otherwise) {
  TRY(auto const word, map.text(key, ""));
  if (word.empty()) return otherwise;
  for (auto const value : {Switch::automatic, Switch::on, Switch::off}) {
    if (word == to_string(value)) return value;
  }
  if (word == "true") return Switch::on;
  if (word == "false") return Switch::off;
  return map.complaint(key, fmt::format("must be auto, on or off, not \"{}\"", printable(word)));
}

Result<std::chrono::milliseconds> read_period(YamlMap const& map, std::string_view key,
                                              std::chrono::milliseconds otherwise) {
  if (!map.has(key)) return otherwise;
  TRY(auto const text, map.text(key, ""));
  auto const period = parse_period(text);
  if (!period) return map.complaint(key, "is wrong: " + period.error().message);
  return period.value();
}

Result<void> read_retention(YamlMap const& map, Config& config) {
  if (!map.has("retention")) return ok();
  TRY(auto const retention, map.map("retention", retention_keys));
  if (retention.has("keep_last")) {
    TRY(config.retention.keep_last, retention.number<std::uint64_t>("keep_last", {.min = 1}, 0));
  }
  if (retention.has("keep_every")) {
    TRY(config.retention.keep_every, retention.number<std::uint64_t>("keep_every", {.min = 1}, 0));
  }
  return ok();
}

Result<void> read_bandwidth_limit(YamlMap const& map, Config& config) {
  TRY(auto const text, map.text("bandwidth_limit", "none"));
  if (text == "none") return ok();
  auto const quantity = parse_quantity(text);
  if (!quantity || quantity->value <= 0 || (quantity->unit != "" && quantity->unit != "MB/s")) {
    return map.complaint(
        "bandwidth_limit",
        fmt::format("must be none or more than 0 MB/s, such as 12.5, not \"{}\"", printable(text)));
  }
  config.bandwidth_limit_mb_per_s = quantity->value;
  return ok();
}

Result<void> read_reserve(YamlMap const& map, Config& config) {
  if (!map.has("reserve")) return ok();
  TRY(auto const text, map.text("reserve", ""));
  if (auto const quantity = parse_quantity(text)) {
    if (quantity->unit == "%" && quantity->value < 100) {
      config.reserve_share = quantity->value / 100;
      return ok();
    }
    auto const unit = unit_size(size_units, quantity->unit);
    double const bytes = quantity->value * unit.value_or(0);
    if (unit && bytes < 0x1p63) {
      config.reserve_bytes = static_cast<std::uint64_t>(bytes);
      return ok();
    }
  }
  return map.complaint("reserve", fmt::format("must be a share of the disk such as 5 % or a size "
                                              "such as 2 GiB, not \"{}\"",
                                              printable(text)));
}

Result<void> read_priority(YamlMap const& map, WorkPriority& priority) {
  TRY(priority.nice, map.number<int>("nice", {.min = 0, .max = 19}, priority.nice));
  TRY(auto const word, map.text("ionice", to_string(priority.io)));
  for (auto const io : {IoPriority::normal, IoPriority::low, IoPriority::idle}) {
    if (word != to_string(io)) continue;
    priority.io = io;
    return ok();
  }
  return map.complaint("ionice",
                       fmt::format("must be normal, low or idle, not \"{}\"", printable(word)));
}

void note_ignored(YamlMap const& map, Config& config) {
  for (std::string_view const key : ignored_keys) {
    if (map.has(key)) {
      config.notices.push_back(
          fmt::format("{}: {} is no longer used; the line can go", map.where(key), key));
    }
  }
}

}  // namespace

std::string_view to_string(Switch value) {
  switch (value) {
    case Switch::automatic:
      return "auto";
    case Switch::on:
      return "on";
    case Switch::off:
      return "off";
  }
  return "auto";
}

std::string_view to_string(IoPriority priority) {
  switch (priority) {
    case IoPriority::normal:
      return "normal";
    case IoPriority::low:
      return "low";
    case IoPriority::idle:
      return "idle";
  }
  return "normal";
}

fs::path home_folder() {
  char const* const home = ::getenv("HOME");
  if (home != nullptr && home[0] == '/') return home;
  std::array<char, 16384> buffer{};
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->pw_dir;
  }
  return "/";
}

Result<Config> parse_config(std::string_view yaml, fs::path const& source) {
  std::vector<std::string_view> known(config_keys.begin(), config_keys.end());
  known.insert(known.end(), ignored_keys.begin(), ignored_keys.end());
  TRY(auto const map, YamlMap::parse(yaml, source, known));
  Config config;
  config.source = source;
  TRY(read_folders(map, config));
  TRY(read_devices(map, config));
  TRY(read_counts(map, config));
  TRY(read_api(map, config));
  TRY(config.keep_shards, map.boolean("keep_shards", config.keep_shards));
  TRY(config.compression, read_switch(map, "compression", config.compression));
  TRY(config.delta, read_switch(map, "delta", config.delta));
  TRY(config.stand_ins, map.boolean("stand_ins", config.stand_ins));
  TRY(config.repair_after, read_period(map, "repair_after", config.repair_after));
  TRY(config.scrub_every, read_period(map, "scrub_every", config.scrub_every));
  TRY(config.collect_after, read_period(map, "collect_after", config.collect_after));
  TRY(read_retention(map, config));
  TRY(read_bandwidth_limit(map, config));
  TRY(read_reserve(map, config));
  TRY(read_priority(map, config.priority));
  note_ignored(map, config);
  return config;
}

DeviceConfig const* find_worker(Config const& config, Rank rank) {
  auto const found = std::find_if(config.workers.begin(), config.workers.end(),
                                  [&](DeviceConfig const& worker) { return worker.rank == rank; });
  return found == config.workers.end() ? nullptr : &*found;
}

std::uint64_t reserved_bytes(Config const& config, std::uint64_t total_bytes) {
  if (config.reserve_bytes) return *config.reserve_bytes;
  auto const share = static_cast<std::uint64_t>(
      static_cast<double>(total_bytes) * config.reserve_share.value_or(reserve_share_default));
  return config.reserve_share ? share : std::min(share, reserve_bytes_default_max);
}

Result<std::chrono::milliseconds> parse_period(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 5> units{
      {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 36e5}, {"d", 864e5}}};
  if (auto const quantity = parse_quantity(text)) {
    auto const unit = unit_size(units, quantity->unit);
    double const count = std::round(quantity->value * unit.value_or(0));
    if (unit && count >= 1 && count <= periods_max_ms) {
      return std::chrono::milliseconds(static_cast<std::int64_t>(count));
    }
  }
  return fail(
      ErrorKind::invalid,
      "a period is a number and ms, s, m, h or d, such as 10m, of 1ms to 36500d, not \"{}\"",
      printable(text));
}

}  // namespace grove
