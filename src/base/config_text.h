// config.yaml as grove itself writes it: a new one, or an existing one with other workers in it.
// Whatever a person wrote there stays: comments, order, keys that have nothing to do with workers.
// Not here: reading it (base/config.h), backups and the write itself (cli/).
// Threads: pure.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/config.h"
#include "base/error.h"

namespace grove {

struct NewConfig {
  std::string comment;  // the first line, without its "# "
  std::filesystem::path ckpt_root;
  std::optional<std::filesystem::path> shards_root;
  DeviceConfig master;
  std::span<DeviceConfig const> workers;
};
std::string write_config(NewConfig const& config);

struct ChangedConfig {
  std::string text;
  // False where the file's style (lists in brackets, anchors) left no place to edit: the text was
  // written anew then, with all keys but without comments.
  bool keeps_comments = true;
};

// `yaml` with exactly `workers`, at least one, in devices_config: those that it has already (by
// rank) stay in their place and keep their comments, the others go or are added at the end.
// `num_workers` follows; `n_chunks` and `redundancy` follow where they were the number of workers,
// or would be more copies than there are workers. `yaml` must be a valid config. Fails: invalid (it
// is not valid, or would not be with these workers).
Result<ChangedConfig> change_workers(std::string const& yaml, std::span<DeviceConfig const> workers,
                                     std::filesystem::path const& source);

}  // namespace grove
