#include "coordinator/gather_output.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/test_folder.h"
#include "format/test_key.h"
#include "transfer/checkpoint_writer.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view content = "0123456789";

// Two workers that answer; the first holds shard 0 of each identity.
ClusterView view_of(std::vector<std::string> const& identities) {
  ClusterView view;
  view.members.push_back({.worker_index = 0, .health = WorkerHealth{}, .error = {}});
  view.members.push_back({.worker_index = 1, .health = WorkerHealth{}, .error = {}});
  view.inventories = {{.worker_index = 0, .refs = {}}, {.worker_index = 1, .refs = {}}};
  for (auto const& identity : identities) {
    Ref const ref{.key = key_of(identity),
                  .generation = {7},
                  .name = RefName{ShardIndex{0}},
                  .target = sha256(identity)};
    view.inventories[0].refs.push_back({.ref = ref, .is_sound = true, .missing_count = 0});
  }
  return view;
}

TEST(ExtensionUseOnWorkers, IsAloneWhereNothingElseOfTheKindIsInTheFolder) {
  auto const view =
      view_of({"run1/weights.safetensors", "run1/optimizer.pth", "run2/weights.safetensors",
               "weights.safetensors", "run1/step_1/weights.safetensors"});
  EXPECT_EQ(extension_use_on_workers(key_of("run1/weights.safetensors"), view),
            ExtensionUse::alone);
  EXPECT_EQ(extension_use_on_workers(key_of("run1/weights.safetensors"), view_of({})),
            ExtensionUse::alone);
}

TEST(ExtensionUseOnWorkers, IsSharedWithAnotherOfTheSameFolderAndExtension) {
  auto const view = view_of({"run1/weights.safetensors", "run1/other.safetensors"});
  EXPECT_EQ(extension_use_on_workers(key_of("run1/weights.safetensors"), view),
            ExtensionUse::shared);
}

TEST(ExtensionUseOnWorkers, IsSharedWhereAWorkerMayHoldAnother) {
  auto view = view_of({"run1/weights.safetensors"});
  view.members[1].health.reset();
  view.members[1].error = {ErrorKind::unavailable, "connection refused"};
  EXPECT_EQ(extension_use_on_workers(key_of("run1/weights.safetensors"), view),
            ExtensionUse::shared);
}

class GatherOutputTest : public testing::Test {
 protected:
  GatherOutputTest() {
    fs::create_directories(folder_ / "ckpt");
    config_.ckpt_root = folder_ / "ckpt";
    manifest_.file_bytes = content.size();
    manifest_.mtime_ns = 1'700'000'000'000'000'000;
    manifest_.mode = 0644;
  }

  Result<fs::path> output_of(std::string const& identity,
                             ExtensionUse use = ExtensionUse::alone) const {
    auto const path = (config_.ckpt_root / identity).string();
    return default_output(config_, resolve_checkpoint(config_, path).value(), use, manifest_);
  }

  // As a gather before would have left it.
  void write_own(fs::path const& path) const {
    auto writer = CheckpointWriter::create({.path = path,
                                            .file_bytes = manifest_.file_bytes,
                                            .mode = manifest_.mode,
                                            .mtime_ns = manifest_.mtime_ns,
                                            .mark = "x@7",
                                            .make_folders = true});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer.value().write(bytes_of(content), 0));
    ASSERT_TRUE(writer.value().commit());
  }

  static void expect_foreign(Result<fs::path> const& output, fs::path const& path) {
    ASSERT_FALSE(output) << output.value();
    EXPECT_EQ(output.error().kind, ErrorKind::conflict);
    EXPECT_EQ(output.error().message,
              path.string() +
                  " exists and was not written by grove; move it away or use output= "
                  "(grove gather --output)");
  }

  TestFolder folder_;
  Config config_;
  Manifest manifest_;
};

TEST_F(GatherOutputTest, IsCalledMergedInTheCheckpointsOwnFolder) {
  EXPECT_EQ(output_of("run1/step_100/model.safetensors").value(),
            folder_ / "ckpt/run1/step_100/merged.safetensors");
  EXPECT_EQ(output_of("run1/step_100/weights.pth").value(),
            folder_ / "ckpt/run1/step_100/merged.pth");
  EXPECT_EQ(output_of("weights").value(), folder_ / "ckpt/merged");
}

TEST_F(GatherOutputTest, CarriesTheNameWhereTheWorkersHoldAnother) {
  EXPECT_EQ(output_of("run1/weights.safetensors", ExtensionUse::shared).value(),
            folder_ / "ckpt/run1/merged-weights.safetensors");
  EXPECT_EQ(output_of("run1/model.safetensors", ExtensionUse::shared).value(),
            folder_ / "ckpt/run1/merged.safetensors");
}

TEST_F(GatherOutputTest, CarriesTheNameWhereAnotherLiesInTheFolder) {
  folder_.write("ckpt/run1/model-00001-of-00002.safetensors", "part");
  folder_.write("ckpt/run1/model-00002-of-00002.safetensors", "part");
  EXPECT_EQ(output_of("run1/model-00001-of-00002.safetensors").value(),
            folder_ / "ckpt/run1/merged-model-00001-of-00002.safetensors");
  EXPECT_EQ(output_of("run1/model.safetensors").value(), folder_ / "ckpt/run1/merged.safetensors");
}

TEST_F(GatherOutputTest, CountsNoFileThatCannotBeMeant) {
  folder_.write("ckpt/run1/weights.safetensors", "the checkpoint itself");
  folder_.write("ckpt/run1/optimizer.pth", "of another extension");
  folder_.write("ckpt/run1/.hidden.safetensors", "hidden");
  folder_.write("ckpt/run1/step_1/other.safetensors", "deeper");
  fs::create_directories(folder_ / "ckpt/run1/folder.safetensors");
  write_own(folder_ / "ckpt/run1/merged.safetensors");
  EXPECT_EQ(output_of("run1/weights.safetensors").value(),
            folder_ / "ckpt/run1/merged.safetensors");
}

TEST_F(GatherOutputTest, ReplacesWhatGroveWrote) {
  write_own(folder_ / "ckpt/run1/merged.safetensors");
  EXPECT_EQ(output_of("run1/model.safetensors").value(), folder_ / "ckpt/run1/merged.safetensors");
  write_own(folder_ / "ckpt/run1/merged-weights.safetensors");
  EXPECT_EQ(output_of("run1/weights.safetensors", ExtensionUse::shared).value(),
            folder_ / "ckpt/run1/merged-weights.safetensors");
}

TEST_F(GatherOutputTest, ReplacesNothingThatGroveDidNotWrite) {
  folder_.write("ckpt/run1/merged.safetensors", "precious");
  expect_foreign(output_of("run1/model.safetensors"), folder_ / "ckpt/run1/merged.safetensors");
  folder_.write("ckpt/run1/merged-weights.safetensors", "precious");
  expect_foreign(output_of("run1/weights.safetensors", ExtensionUse::shared),
                 folder_ / "ckpt/run1/merged-weights.safetensors");
}

TEST_F(GatherOutputTest, StepsAsideWhereAUsersFileIsCalledMerged) {
  folder_.write("ckpt/run1/merged.safetensors", "precious");
  EXPECT_EQ(output_of("run1/weights.safetensors").value(),
            folder_ / "ckpt/run1/merged-weights.safetensors");
}

TEST_F(GatherOutputTest, NeverLeavesTheRootThroughALink) {
  fs::create_directories(folder_ / "elsewhere");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "ckpt/out");
  auto const output = output_of("out/model.safetensors");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, ErrorKind::invalid);
}

TEST_F(GatherOutputTest, MayBeAnyFreePathThatTheUserChose) {
  EXPECT_EQ(check_output(folder_ / "here.safetensors", manifest_).value(),
            folder_ / "here.safetensors");
  write_own(folder_ / "own.safetensors");
  EXPECT_EQ(check_output(folder_ / "own.safetensors", manifest_).value(),
            folder_ / "own.safetensors");
}

TEST_F(GatherOutputTest, IsRefusedWhereTheUsersChoiceIsNotFree) {
  folder_.write("taken.safetensors", "precious");
  expect_foreign(check_output(folder_ / "taken.safetensors", manifest_),
                 folder_ / "taken.safetensors");
  expect_foreign(check_output(folder_ / "ckpt", manifest_), folder_ / "ckpt");
  fs::create_symlink("nowhere", folder_ / "link.safetensors");
  expect_foreign(check_output(folder_ / "link.safetensors", manifest_),
                 folder_ / "link.safetensors");
}

TEST_F(GatherOutputTest, IsRefusedWhereTheUsersChoiceIsRelative) {
  auto const output = check_output("merged.safetensors", manifest_);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error(),
            (Error{ErrorKind::invalid, "output must be an absolute path: merged.safetensors"}));
}

}  // namespace
}  // namespace grove
