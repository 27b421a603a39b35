// ckpt_path, as a user gives it → the checkpoint it means. The first paragraph of every job.
// Threads: blocks on the disk (links are resolved), so await it through net/offload.h.
#pragma once

#include <filesystem>
#include <string>

#include "base/config.h"
#include "base/error.h"
#include "format/key.h"

namespace grove {

struct CheckpointRequest {
  CheckpointKey key;
  std::filesystem::path path;      // as it was asked for, normalised
  std::filesystem::path relative;  // to ckpt_root
};

// `ckpt_path` must be absolute and lie under ckpt_root as configured, or under what ckpt_root
// resolves to when that is a link. Whether the file exists is not looked at.
// Fails: invalid, in the reference's words.
Result<CheckpointRequest> resolve_checkpoint(Config const& config, std::string const& ckpt_path);

// The folder that a gather writes into by default: that of the checkpoint. It is made if it is
// missing; one that leads out of ckpt_root through a link is `invalid`.
Result<std::filesystem::path> prepare_output_folder(Config const& config,
                                                    CheckpointRequest const& request);

}  // namespace grove
