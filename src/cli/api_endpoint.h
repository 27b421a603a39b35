// Where a command finds the coordinator's API.
// Threads: any; reads the config.
#pragma once

#include <filesystem>
#include <optional>

#include "base/config.h"
#include "base/error.h"
#include "net/http_call.h"

namespace grove {

Endpoint api_endpoint(Config const& config);
// Where the API of this config is; without any config file the default, 127.0.0.1:8000.
// Fails: invalid, not_found (an explicit config that is not there).
Result<Endpoint> api_endpoint(std::optional<std::filesystem::path> const& explicit_config);

}  // namespace grove
