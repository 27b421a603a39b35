#include "coordinator/checkpoint_request.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include "base/file.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

Error not_under_root(fs::path const& path, Config const& config) {
  return fail(ErrorKind::invalid, "{} is not under ckpt_root {}", path.string(),
              config.ckpt_root.string());
}

// What is left of `path` below `root`; nullopt when it is not below.
std::optional<fs::path> below(fs::path const& path, fs::path const& root) {
  auto const [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  if (in_root != root.end() || in_path == path.end()) return std::nullopt;
  fs::path rest;
  for (auto part = in_path; part != path.end(); ++part) rest /= *part;
  return rest;
}

Result<fs::path> canonical_root(Config const& config) {
  std::error_code error;
  auto root = fs::canonical(config.ckpt_root, error);
  if (error) {
    return fail(ErrorKind::invalid, "ckpt_root {}: {}; create it or correct it in {}",
                config.ckpt_root.string(), error.message(), config.source.string());
  }
  return root;
}

}  // namespace

Result<CheckpointRequest> resolve_checkpoint(Config const& config, std::string const& ckpt_path) {
  if (ckpt_path.empty()) return fail(ErrorKind::invalid, "ckpt_path is empty; give a file's path");
  if (ckpt_path.find('\0') != std::string::npos) {
    return fail(ErrorKind::invalid, "ckpt_path contains a NUL character");
  }
  fs::path const asked(ckpt_path);
  if (!asked.is_absolute()) {
    return fail(ErrorKind::invalid, "ckpt_path must be an absolute path: {}", ckpt_path);
  }
  // ".." is refused, not resolved: with links in between it may mean something else to the kernel.
  if (std::find(asked.begin(), asked.end(), fs::path("..")) != asked.end()) {
    return not_under_root(asked, config);
  }
  auto const path = asked.lexically_normal();
  auto relative = below(path, config.ckpt_root.lexically_normal());
  if (!relative) {
    TRY(auto const root, canonical_root(config));
    relative = below(path, root);
  }
  if (!relative) return not_under_root(path, config);
  if (!relative->has_filename()) {
    return fail(ErrorKind::invalid, "{} is a folder; give the path of a file", path.string());
  }
  TRY(auto key, CheckpointKey::parse(relative->string()));
  return CheckpointRequest{std::move(key), path, *relative};
}

Result<fs::path> prepare_output_folder(Config const& config, CheckpointRequest const& request) {
  TRY(auto const root, canonical_root(config));
  auto const folder = config.ckpt_root / request.relative.parent_path();
  std::error_code error;
  // Before anything is made: what exists of the folder must not lead out of the root.
  auto const resolved = fs::weakly_canonical(folder, error);
  if (error) {
    return fail(ErrorKind::invalid, "{}: {}", folder.string(), error.message());
  }
  if (resolved != root && !below(resolved, root)) return not_under_root(folder, config);
  TRY(make_folders(folder));
  return folder.lexically_normal();
}

}  // namespace grove
