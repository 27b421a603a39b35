#include "plan/output_names.h"

#include <fmt/format.h>

namespace grove {

namespace {

bool is_model(CheckpointKey const& key) {
  std::string_view const name = key.file_name();
  return name.substr(0, name.size() - key.extension().size()) == "model";
}

}  // namespace

std::string merged_name(CheckpointKey const& key, ExtensionUse use) {
  return is_model(key) || use == ExtensionUse::alone ? fmt::format("merged{}", key.extension())
                                                     : fmt::format("merged-{}", key.file_name());
}

std::filesystem::path shard_path(std::filesystem::path const& shards_root, Rank rank,
                                 CheckpointKey const& key, ShardIndex shard,
                                 ShardOfWorker of_worker) {
  std::filesystem::path folder = shards_root / fmt::format("worker_{}", rank.value);
  if (!key.folder().empty()) {
    folder /= key.folder();
  }
  if (!is_model(key)) {
    folder /= key.file_name();
  }
  return folder / (of_worker == ShardOfWorker::lowest
                       ? fmt::format("shard{}", key.extension())
                       : fmt::format("shard-{}{}", shard.value, key.extension()));
}

}  // namespace grove
