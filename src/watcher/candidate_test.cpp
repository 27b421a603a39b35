#include "watcher/candidate.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

std::vector<std::string> const both{".safetensors", ".pth"};

TEST(Candidate, TakesFilesOfTheWatchedExtensionsAtAnyDepth) {
  for (auto const* path : {"model.safetensors", "run1/step_100/model.safetensors", "a/b/c/d/e.pth",
                           "run1/model-00001-of-00004.safetensors", "temp_0.7/model.pth",
                           "run/unmerged.safetensors", "run/partial-freeze.pth"}) {
    EXPECT_EQ(kind_of_file(path, both), NameKind::taken) << path;
  }
  for (auto const* path : {"model.pt", "run1/notes.txt", "safetensors", ".safetensors",
                           "run1/.safetensors", "model.safetensors.tmp", "model.safetensors~"}) {
    EXPECT_EQ(kind_of_file(path, both), NameKind::other) << path;
  }
  EXPECT_EQ(kind_of_file("a.pth", {".safetensors"}), NameKind::other);
}

TEST(Candidate, LeavesHiddenAndTemporaryNamesAlone) {
  for (auto const* path :
       {".model.safetensors", "run1/.cache/model.safetensors", "tmp-checkpoint-500/model.pth",
        "tmp_model.safetensors", "model.tmp.safetensors", "step_1.tmp/model.pth", "~model.pth",
        "#model.pth", "run~/model.pth", "model.part.pth", "a/model.incomplete.safetensors"}) {
    EXPECT_EQ(kind_of_file(path, both), NameKind::temporary) << path;
  }
}

TEST(Candidate, KnowsTheNamesThatGatherGives) {
  EXPECT_EQ(kind_of_file("run1/merged.safetensors", both), NameKind::merged);
  EXPECT_EQ(kind_of_file("merged-model-00001-of-00004.safetensors", both), NameKind::merged);
  EXPECT_EQ(kind_of_file("merged/model.safetensors", both), NameKind::taken);
}

TEST(Candidate, ReadsAListOfExtensions) {
  EXPECT_EQ(parse_extensions(".safetensors,.pth").value(), both);
  EXPECT_EQ(parse_extensions(".pth,.pth").value(), std::vector<std::string>{".pth"});
  EXPECT_EQ(parse_extensions(".tar.gz").value(), std::vector<std::string>{".tar.gz"});
  for (auto const* text : {"", "pth", ".", ".pth,", ",.pth", ".a/b", ".pth, .pt", ".."}) {
    EXPECT_TRUE(parse_extensions(text).has_error()) << text;
  }
}

}  // namespace
}  // namespace grove
