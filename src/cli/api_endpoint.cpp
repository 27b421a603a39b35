#include "cli/api_endpoint.h"

#include "base/config_file.h"

namespace grove {

Endpoint api_endpoint(Config const& config) {
  bool const is_any = config.api_host == "0.0.0.0" || config.api_host == "::";
  return {.host = is_any ? "127.0.0.1" : config.api_host, .port = config.api_port, .name = "API"};
}

Result<Endpoint> api_endpoint(std::optional<std::filesystem::path> const& explicit_config) {
  Config defaults;
  auto path = find_config(explicit_config);
  if (path.has_error()) {
    if (explicit_config || path.error().kind != ErrorKind::not_found) {
      return std::move(path).error();
    }
  } else {
    TRY(defaults, load_config(path.value()));
  }
  return api_endpoint(defaults);
}

}  // namespace grove
