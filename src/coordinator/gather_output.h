// Where a gather may write: the name of the merged file by the rules of docs/operations.md#gather,
// and that nothing there is anybody else's.
// Threads: blocks on the disk, but for extension_use_on_workers.
#pragma once

#include <filesystem>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/checkpoint_request.h"
#include "coordinator/members.h"
#include "format/manifest.h"
#include "plan/output_names.h"

namespace grove {

// Whether another checkpoint of the same folder and extension is stored on the workers; one that
// does not answer may hold another.
ExtensionUse extension_use_on_workers(CheckpointKey const& key, ClusterView const& everything);

// merged.X or merged-<name> in the checkpoint's own folder, which is made if it is missing.
// Fails: conflict when a file is there that grove did not write; invalid.
Result<std::filesystem::path> default_output(Config const& config, CheckpointRequest const& request,
                                             ExtensionUse use_on_workers, Manifest const& manifest);

// A path that the user chose: absolute, and free or grove's own. Whether its folder exists is told
// by the CheckpointWriter. Fails: conflict, invalid.
Result<std::filesystem::path> check_output(std::filesystem::path const& output,
                                           Manifest const& manifest);

}  // namespace grove
