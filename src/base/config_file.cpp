#include "base/config_file.h"

#include <stdlib.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/limits.h"

namespace grove {

namespace fs = std::filesystem;

Result<Config> load_config(fs::path const& path) {
  TRY(auto const bytes, read_whole(path, limits::config_bytes_max));
  return parse_config(text_of(bytes), path);
}

Result<fs::path> find_config(std::optional<fs::path> explicit_path) {
  std::vector<std::pair<fs::path, std::string_view>> places;
  char const* const from_environment = ::getenv("GROVE_CONFIG");
  if (explicit_path) {
    places.emplace_back(*explicit_path, " (--config)");
  } else if (from_environment != nullptr && from_environment[0] != '\0') {
    places.emplace_back(from_environment, " ($GROVE_CONFIG)");
  } else {
    places.emplace_back("configs/config.yaml", "");
    places.emplace_back(home_folder() / ".config/grove/config.yaml", "");
  }
  std::string tried;
  for (auto const& [path, origin] : places) {
    auto const stamp = stamp_of(path);
    // Whatever else is wrong with it, load_config says.
    if (stamp || stamp.error().kind != ErrorKind::not_found) return path;
    tried += fmt::format("{}{}{}", tried.empty() ? "" : ", ", printable(path.native()), origin);
  }
  return fail(ErrorKind::not_found, "no config file: tried {}; write one or name it with --config",
              tried);
}

Result<Config> find_and_load_config(std::optional<fs::path> explicit_path) {
  TRY(auto const path, find_config(std::move(explicit_path)));
  return load_config(path);
}

}  // namespace grove
