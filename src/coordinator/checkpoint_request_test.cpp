#include "coordinator/checkpoint_request.h"

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

class CheckpointRequestTest : public testing::Test {
 protected:
  CheckpointRequestTest() {
    fs::create_directories(folder_ / "ckpt");
    config_.ckpt_root = folder_ / "ckpt";
    config_.source = "configs/config.yaml";
  }

  // What ckpt_root/`relative` is called by a user.
  std::string in_root(std::string const& relative) const {
    return (config_.ckpt_root / relative).string();
  }

  void expect_accepted(std::string const& ckpt_path, std::string const& identity) const {
    auto const request = resolve_checkpoint(config_, ckpt_path);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request.value().key.identity(), identity);
    EXPECT_EQ(request.value().relative, fs::path(identity));
  }

  void expect_refused(std::string const& ckpt_path, std::string const& message) const {
    auto const request = resolve_checkpoint(config_, ckpt_path);
    ASSERT_FALSE(request) << request.value().key.identity();
    EXPECT_EQ(request.error(), (Error{ErrorKind::invalid, message}));
  }

  void expect_outside(std::string const& ckpt_path) const {
    expect_refused(ckpt_path, ckpt_path + " is not under ckpt_root " + config_.ckpt_root.string());
  }

  // The folder for the output of the checkpoint `identity`.
  Result<fs::path> prepare(std::string const& identity) const {
    auto const request = resolve_checkpoint(config_, in_root(identity)).value();
    return prepare_output_folder(config_, request);
  }

  void expect_no_output_in(std::string const& relative) const {
    auto const prepared = prepare(relative + "/model.safetensors");
    ASSERT_FALSE(prepared) << prepared.value();
    EXPECT_EQ(prepared.error().kind, ErrorKind::invalid);
    EXPECT_EQ(prepared.error().message,
              in_root(relative) + " is not under ckpt_root " + config_.ckpt_root.string());
  }

  TestFolder folder_;
  Config config_;
};

TEST_F(CheckpointRequestTest, IsAFileBelowTheRootWhetherItExistsOrNot) {
  auto const request = resolve_checkpoint(config_, in_root("run1/step_100/model.safetensors"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request.value().key.identity(), "run1/step_100/model.safetensors");
  EXPECT_EQ(request.value().path, folder_ / "ckpt/run1/step_100/model.safetensors");
  EXPECT_EQ(request.value().relative, fs::path("run1/step_100/model.safetensors"));
  expect_accepted(in_root("model.pth"), "model.pth");
}

TEST_F(CheckpointRequestTest, IsOneHoweverItsPathIsWritten) {
  expect_accepted(in_root("run1//step_100/./model.safetensors"), "run1/step_100/model.safetensors");
  expect_accepted(in_root("run..1/..model"), "run..1/..model");
}

TEST_F(CheckpointRequestTest, MustBeAbsolute) {
  expect_refused("model.safetensors", "ckpt_path must be an absolute path: model.safetensors");
  expect_refused("~/ckpt/model.safetensors",
                 "ckpt_path must be an absolute path: ~/ckpt/model.safetensors");
  expect_refused("", "ckpt_path is empty; give a file's path");
}

TEST_F(CheckpointRequestTest, NeverGoesUp) {
  expect_outside(in_root("../secret"));
  expect_outside(in_root("run1/../model.safetensors"));
  expect_outside(in_root("run1/.."));
  expect_outside("/..");
}

TEST_F(CheckpointRequestTest, HasNoControlCharacters) {
  using namespace std::string_literals;
  expect_refused(in_root("model\0.safetensors"s), "ckpt_path contains a NUL character");
  for (auto const* name : {"mo\ndel",
                           "mo\x7f"
                           "del",
                           "mo\xff"
                           "del"}) {
    auto const request = resolve_checkpoint(config_, in_root(name));
    ASSERT_FALSE(request) << name;
    EXPECT_EQ(request.error().kind, ErrorKind::invalid);
    EXPECT_EQ(request.error().message.find('\n'), std::string::npos);
  }
}

TEST_F(CheckpointRequestTest, HasNamesOfAtMostTheFileSystemsLength) {
  std::string const longest(limits::name_bytes_max, 'x');
  expect_accepted(in_root(longest), longest);
  auto const refused = resolve_checkpoint(config_, in_root(longest + "x"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST_F(CheckpointRequestTest, LiesUnderTheRoot) {
  expect_outside("/etc/passwd");
  expect_outside((folder_ / "model.safetensors").string());
  expect_outside((folder_ / "ckpt2/model.safetensors").string());
}

TEST_F(CheckpointRequestTest, IsNotTheRootItselfNorAFolder) {
  expect_outside(config_.ckpt_root.string());
  expect_refused(in_root(""), in_root("") + " is a folder; give the path of a file");
  expect_refused(in_root("run1/"), in_root("run1/") + " is a folder; give the path of a file");
  expect_refused(in_root("run1/."), in_root("run1/") + " is a folder; give the path of a file");
}

TEST_F(CheckpointRequestTest, IsTheSameThroughALinkThatTheRootIs) {
  fs::create_directory_symlink(folder_ / "ckpt", folder_ / "link");
  config_.ckpt_root = folder_ / "link";
  expect_accepted((folder_ / "link/run1/model.safetensors").string(), "run1/model.safetensors");
  expect_accepted((folder_ / "ckpt/run1/model.safetensors").string(), "run1/model.safetensors");
  expect_outside((folder_ / "other/model.safetensors").string());
}

TEST_F(CheckpointRequestTest, LeavesLinksBelowTheRootToWhoOpensTheFile) {
  fs::create_directory_symlink(folder_.path(), folder_ / "ckpt/out");
  expect_accepted(in_root("out/model.safetensors"), "out/model.safetensors");
}

TEST_F(CheckpointRequestTest, NamesTheConfigWhereTheRootIsMissing) {
  config_.ckpt_root = folder_ / "missing";
  expect_accepted(in_root("model.safetensors"), "model.safetensors");
  expect_refused("/etc/passwd", "ckpt_root " + config_.ckpt_root.string() +
                                    ": No such file or directory; create it or correct it in "
                                    "configs/config.yaml");
}

TEST_F(CheckpointRequestTest, PutsItsOutputIntoItsOwnFolderWhichIsMade) {
  EXPECT_EQ(prepare("run1/step_100/model.safetensors").value(), folder_ / "ckpt/run1/step_100");
  EXPECT_TRUE(fs::is_directory(folder_ / "ckpt/run1/step_100"));
  EXPECT_EQ(prepare("run1/step_100/model.safetensors").value(), folder_ / "ckpt/run1/step_100");
}

TEST_F(CheckpointRequestTest, PutsItsOutputIntoTheRootForAFileOfTheRoot) {
  auto const output = prepare("model.safetensors").value();
  EXPECT_TRUE(fs::equivalent(output, folder_ / "ckpt"));
  EXPECT_EQ((output / "merged.safetensors").string(), in_root("merged.safetensors"));
}

TEST_F(CheckpointRequestTest, PutsItsOutputThroughLinksThatStayInside) {
  fs::create_directories(folder_ / "ckpt/real");
  fs::create_directory_symlink("real", folder_ / "ckpt/alias");
  EXPECT_EQ(prepare("alias/step_100/model.safetensors").value(), folder_ / "ckpt/alias/step_100");
  EXPECT_TRUE(fs::is_directory(folder_ / "ckpt/real/step_100"));
}

TEST_F(CheckpointRequestTest, PutsItsOutputThroughALinkThatTheRootIs) {
  fs::create_directory_symlink(folder_ / "ckpt", folder_ / "link");
  config_.ckpt_root = folder_ / "link";
  EXPECT_EQ(prepare("run1/model.safetensors").value(), folder_ / "link/run1");
  EXPECT_TRUE(fs::is_directory(folder_ / "ckpt/run1"));
}

TEST_F(CheckpointRequestTest, MakesNothingThroughALinkThatLeadsOut) {
  fs::create_directories(folder_ / "elsewhere");
  fs::create_directories(folder_ / "ckpt2");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "ckpt/out");
  fs::create_directory_symlink("../ckpt2", folder_ / "ckpt/beside");
  for (auto const* relative : {"out", "out/step_100", "beside", "beside/step_100"}) {
    expect_no_output_in(relative);
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "elsewhere"));
  EXPECT_TRUE(fs::is_empty(folder_ / "ckpt2"));
}

TEST_F(CheckpointRequestTest, MakesNothingThroughALinkThatLeadsNowhere) {
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "ckpt/out");
  for (auto const* relative : {"out", "out/step_100"}) {
    auto const prepared = prepare(std::string(relative) + "/model.safetensors");
    EXPECT_FALSE(prepared) << relative;
  }
  EXPECT_FALSE(fs::exists(folder_ / "elsewhere"));
}

TEST_F(CheckpointRequestTest, HasNoOutputWhereAFileIsInTheWay) {
  folder_.write("ckpt/run1", "x");
  auto const prepared = prepare("run1/model.safetensors");
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind, ErrorKind::invalid);
}

TEST_F(CheckpointRequestTest, HasNoOutputWhereTheRootIsMissing) {
  config_.ckpt_root = folder_ / "missing";
  auto const prepared = prepare("run1/model.safetensors");
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind, ErrorKind::invalid);
  EXPECT_FALSE(fs::exists(folder_ / "missing"));
}

}  // namespace
}  // namespace grove
