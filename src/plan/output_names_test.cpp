#include "plan/output_names.h"

#include <gtest/gtest.h>

namespace grove {

namespace {

std::string merged(std::string_view identity, ExtensionUse use) {
  return merged_name(CheckpointKey::parse(identity).value(), use);
}

std::string shard(std::string_view identity, ShardOfWorker of_worker) {
  return shard_path("/shards", Rank{3}, CheckpointKey::parse(identity).value(), ShardIndex{5},
                    of_worker)
      .string();
}

}  // namespace

TEST(OutputNames, AModelIsAlwaysMerged) {
  for (ExtensionUse const use : {ExtensionUse::alone, ExtensionUse::shared}) {
    EXPECT_EQ(merged("run1/step_100/model.safetensors", use), "merged.safetensors");
    EXPECT_EQ(merged("model.pth", use), "merged.pth");
    EXPECT_EQ(merged("run1/model", use), "merged");
  }
}

TEST(OutputNames, AnyOtherFileIsMergedWhileItIsAlone) {
  EXPECT_EQ(merged("run1/style-000004.safetensors", ExtensionUse::alone), "merged.safetensors");
  EXPECT_EQ(merged("run1/weights", ExtensionUse::alone), "merged");
}

TEST(OutputNames, FilesThatShareAnExtensionKeepTheirNames) {
  EXPECT_EQ(merged("run1/style-000004.safetensors", ExtensionUse::shared),
            "merged-style-000004.safetensors");
  EXPECT_EQ(merged("model-00002-of-00004.safetensors", ExtensionUse::shared),
            "merged-model-00002-of-00004.safetensors");
  EXPECT_EQ(merged("run1/models.pth", ExtensionUse::shared), "merged-models.pth");
  EXPECT_EQ(merged("run1/weights", ExtensionUse::shared), "merged-weights");
}

TEST(OutputNames, ShardsOfAModelLieInItsFolder) {
  EXPECT_EQ(shard("run1/step_100/model.safetensors", ShardOfWorker::lowest),
            "/shards/worker_3/run1/step_100/shard.safetensors");
  EXPECT_EQ(shard("run1/step_100/model.safetensors", ShardOfWorker::further),
            "/shards/worker_3/run1/step_100/shard-5.safetensors");
  EXPECT_EQ(shard("model.pth", ShardOfWorker::lowest), "/shards/worker_3/shard.pth");
}

TEST(OutputNames, ShardsOfOtherFilesHaveAFolderOfTheirOwn) {
  EXPECT_EQ(shard("run1/optimizer.pth", ShardOfWorker::lowest),
            "/shards/worker_3/run1/optimizer.pth/shard.pth");
  EXPECT_EQ(shard("weights", ShardOfWorker::further), "/shards/worker_3/weights/shard-5");
}

}  // namespace grove
