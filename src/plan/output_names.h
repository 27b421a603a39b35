// What gather calls the files it writes: the merged checkpoint and the shards beside it. Pure; who
// looks into folders, and how a file of grove's own is known, is in transfer/checkpoint_writer.h.
#pragma once

#include <filesystem>
#include <string>

#include "base/config.h"
#include "format/key.h"
#include "format/manifest.h"

namespace grove {

// Whether a checkpoint is the only one of its extension in its folder, on this disk and under its
// key on the workers. What grove wrote itself does not count; an unreachable worker does.
enum class ExtensionUse { alone, shared };

// "merged.safetensors", or "merged-<file name>" where several checkpoints would want that name.
// One called "model" always has it.
std::string merged_name(CheckpointKey const& key, ExtensionUse use);

// Which of the shards of one file that one worker serves: the lowest has the plain name.
enum class ShardOfWorker { lowest, further };

// <shards_root>/worker_R/<folder>/shard.safetensors for "model.safetensors", for any other file
// with its name as one more folder; "shard-<i>.safetensors" for further shards. The extension is
// the checkpoint's own.
std::filesystem::path shard_path(std::filesystem::path const& shards_root, Rank rank,
                                 CheckpointKey const& key, ShardIndex shard,
                                 ShardOfWorker of_worker);

}  // namespace grove
