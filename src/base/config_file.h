// Where the config file is, and reading it.
// Threads: blocks on the disk.
#pragma once

#include <filesystem>
#include <optional>

#include "base/config.h"

namespace grove {

// Fails: not_found (no such file), invalid, exhausted (larger than limits::config_bytes_max).
Result<Config> load_config(std::filesystem::path const& path);

// Where the config is: `explicit_path` (--config) if given, else $GROVE_CONFIG, else
// configs/config.yaml, else ~/.config/grove/config.yaml. A place that was named is never passed
// over for another one. Fails: not_found, naming every place that was tried.
Result<std::filesystem::path> find_config(std::optional<std::filesystem::path> explicit_path);
Result<Config> find_and_load_config(std::optional<std::filesystem::path> explicit_path);

}  // namespace grove
