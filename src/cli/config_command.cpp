// grove config: the config as grove understands it, for a person who edited it and for scripts.
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/config_file.h"
#include "cli/commands.h"

namespace grove {
namespace {

using nlohmann::json;

template <typename T>
json value_or_null(std::optional<T> const& value) {
  return value ? json(*value) : json();
}

json devices_json(std::vector<DeviceConfig> const& devices) {
  auto rows = json::array();
  for (auto const& device : devices) {
    rows.push_back({{"host", device.host},
                    {"ip", device.ip},
                    {"rank", device.rank.value},
                    {"port", device.port}});
  }
  return rows;
}

json config_json(Config const& config, std::filesystem::path const& source) {
  return {
      {"source", source.string()},
      {"ckpt_root", config.ckpt_root.string()},
      {"n_chunks", config.n_chunks},
      {"num_workers", config.workers.size()},
      {"devices_config",
       {{"master", devices_json(config.masters)}, {"workers", devices_json(config.workers)}}},
      {"redundancy", config.redundancy},
      {"keep_shards", config.keep_shards},
      {"shards_root", config.shards_root.string()},
      {"api", {{"host", config.api_host}, {"port", config.api_port}, {"hosts", config.api_hosts}}},
      {"compression", to_string(config.compression)},
      {"delta", to_string(config.delta)},
      {"stand_ins", config.stand_ins},
      {"repair_after_ms", config.repair_after.count()},
      {"scrub_every_ms", config.scrub_every.count()},
      {"collect_after_ms", config.collect_after.count()},
      {"generations", config.generations},
      {"retention",
       {{"keep_last", value_or_null(config.retention.keep_last)},
        {"keep_every", value_or_null(config.retention.keep_every)}}},
      {"bandwidth_limit_mb_per_s", value_or_null(config.bandwidth_limit_mb_per_s)},
      {"reserve_share", value_or_null(config.reserve_share)},
      {"reserve_bytes", value_or_null(config.reserve_bytes)},
      {"nice", config.priority.nice},
      {"ionice", to_string(config.priority.io)}};
}

void print_table(Config const& config, std::filesystem::path const& source) {
  fmt::print("{:<12} {}\n", "config", source.string());
  fmt::print("{:<12} {}\n", "ckpt_root", config.ckpt_root.string());
  fmt::print("{:<12} {}\n", "shards_root",
             config.keep_shards ? config.shards_root.string() : "unused (keep_shards: false)");
  fmt::print("{:<12} {} of each of {} shards\n", "copies", config.redundancy, config.n_chunks);
  fmt::print("{:<12} {}:{}\n\n", "api", config.api_host, config.api_port);
  fmt::print("{:>4}  {:<16} {}\n", "RANK", "HOST", "ADDRESS");
  for (auto const& worker : config.workers) {
    fmt::print("{:>4}  {:<16} {}:{}\n", worker.rank.value, worker.host, worker.ip, worker.port);
  }
}

}  // namespace

int run_config(ConfigPath const& config_path, ConfigOptions const& options) {
  auto const config = find_and_load_config(config_path);
  if (config.has_error()) {
    fmt::print(stderr, "ERROR: {}\n", config.error().message);
    return EXIT_FAILURE;
  }
  for (auto const& notice : config.value().notices) fmt::print(stderr, "{}\n", notice);
  // Whoever reads it may be in another folder.
  std::error_code error;
  auto const absolute = std::filesystem::absolute(config.value().source, error);
  auto const& source = error ? config.value().source : absolute;
  if (options.form == Form::json) {
    // A file name may hold bytes that are no UTF-8.
    fmt::print(
        "{}\n",
        config_json(config.value(), source).dump(-1, ' ', false, json::error_handler_t::replace));
  } else {
    print_table(config.value(), source);
  }
  return EXIT_SUCCESS;
}

}  // namespace grove
