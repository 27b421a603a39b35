#include "coordinator/gather_output.h"

#include <system_error>

#include "base/file.h"
#include "format/text.h"
#include "transfer/checkpoint_writer.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

// Another file of this extension in the folder that a user may have made.
Result<bool> has_sibling(fs::path const& folder, CheckpointKey const& key,
                         Manifest const& manifest) {
  TRY(auto const names, list_folder(folder));
  for (auto const& name : names) {
    if (name == key.file_name() || name.starts_with('.')) continue;
    if (fs::path(name).extension() != fs::path(key.file_name()).extension()) continue;
    // Beside a checkpoint without an extension lie the folders of other runs.
    std::error_code unreadable;
    if (fs::is_directory(folder / name, unreadable)) continue;
    TRY(auto const existing,
        inspect_existing(folder / name, manifest.file_bytes, manifest.mtime_ns));
    if (existing == ExistingFile::foreign) return true;
  }
  return false;
}

}  // namespace

ExtensionUse extension_use_on_workers(CheckpointKey const& key, ClusterView const& everything) {
  if (everything.alive_count() < everything.members.size()) return ExtensionUse::shared;
  for (auto const& inventory : everything.inventories) {
    for (auto const& held : inventory.refs) {
      auto const& other = held.ref.key;
      if (other != key && other.folder() == key.folder() && other.extension() == key.extension()) {
        return ExtensionUse::shared;
      }
    }
  }
  return ExtensionUse::alone;
}

Result<fs::path> default_output(Config const& config, CheckpointRequest const& request,
                                ExtensionUse use_on_workers, Manifest const& manifest) {
  TRY(auto const folder, prepare_output_folder(config, request));
  auto use = use_on_workers;
  if (use == ExtensionUse::alone) {
    TRY(auto const shared, has_sibling(folder, request.key, manifest));
    if (shared) use = ExtensionUse::shared;
  }
  return check_output(folder / merged_name(request.key, use), manifest);
}

Result<fs::path> check_output(fs::path const& output, Manifest const& manifest) {
  // A control character would break the job's lines; a NUL ends the path for the kernel.
  if (!is_plain_text(output.native())) {
    return fail(ErrorKind::invalid, "output contains control characters or is not UTF-8: {}",
                printable(output.native()));
  }
  if (!output.is_absolute()) {
    return fail(ErrorKind::invalid, "output must be an absolute path: {}", output.string());
  }
  TRY(auto const existing, inspect_existing(output, manifest.file_bytes, manifest.mtime_ns));
  if (existing == ExistingFile::foreign) {
    return fail(ErrorKind::conflict,
                "{} exists and was not written by grove; move it away or use output= "
                "(grove gather --output)",
                output.string());
  }
  return output;
}

}  // namespace grove
