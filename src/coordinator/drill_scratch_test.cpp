#include "coordinator/drill_scratch.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

class DrillScratchTest : public testing::Test {
 protected:
  void SetUp() override {
    for (auto const* name : {"one", "two", "checkpoints", "shards"}) {
      fs::create_directory(folder_.path() / name);
    }
    config_.ckpt_root = folder_.path() / "checkpoints";
    config_.shards_root = folder_.path() / "shards";
  }

  std::size_t entries_in(fs::path const& place) const { return list_folder(place).value().size(); }

  TestFolder folder_;
  fs::path const one_ = folder_.path() / "one";
  fs::path const two_ = folder_.path() / "two";
  Config config_;
};

TEST_F(DrillScratchTest, IsAFolderOfItsOwnThatGoesWithAllThatIsInIt) {
  auto scratch = DrillScratch::create({one_, two_}, 1);
  ASSERT_TRUE(scratch.has_value());
  EXPECT_EQ(scratch.value().folder().parent_path(), one_);
  std::ofstream(scratch.value().folder() / "restored") << "bytes";
  EXPECT_EQ(entries_in(one_), 1u);
  EXPECT_TRUE(scratch.value().remove().has_value());
  EXPECT_EQ(entries_in(one_), 0u);
}

TEST_F(DrillScratchTest, SweepsWhatAKilledDrillLeftAndNothingElse) {
  fs::create_directory(one_ / ".grove-drill-0123456789abcdef");
  std::ofstream(one_ / ".grove-drill-0123456789abcdef" / "restored") << "bytes";
  fs::create_directory(one_ / ".grove-drill-mine");
  auto running = DrillScratch::create({one_}, 1);
  ASSERT_TRUE(running.has_value());
  EXPECT_EQ(entries_in(one_), 2u);
  auto other = DrillScratch::create({one_}, 1);
  ASSERT_TRUE(other.has_value());
  EXPECT_TRUE(fs::exists(running.value().folder()));
  EXPECT_TRUE(fs::exists(one_ / ".grove-drill-mine"));
  EXPECT_FALSE(fs::exists(one_ / ".grove-drill-0123456789abcdef"));
}

TEST_F(DrillScratchTest, IsInTheFirstPlaceThatIsThere) {
  auto const scratch = DrillScratch::create({folder_.path() / "absent", two_}, 1);
  ASSERT_TRUE(scratch.has_value());
  EXPECT_EQ(scratch.value().folder().parent_path(), two_);
}

TEST_F(DrillScratchTest, IsRefusedWhereThereIsNoRoomAndSaysHowMuchThereIs) {
  auto const scratch = DrillScratch::create({one_, two_}, UINT64_MAX);
  ASSERT_TRUE(scratch.has_error());
  EXPECT_EQ(scratch.error().kind, ErrorKind::exhausted);
  EXPECT_NE(scratch.error().message.find(one_.string()), std::string::npos);
  EXPECT_NE(scratch.error().message.find(two_.string()), std::string::npos);
  EXPECT_EQ(entries_in(one_), 0u);
}

TEST_F(DrillScratchTest, IsBesideTheShardsUnlessAskedForElsewhere) {
  auto const places = scratch_places(config_, std::nullopt).value();
  EXPECT_EQ(places[0], config_.shards_root);
  EXPECT_EQ(places[1], folder_.path());
  EXPECT_EQ(scratch_places(config_, two_).value(), std::vector<fs::path>{two_});
}

TEST_F(DrillScratchTest, IsNeverInCkptRoot) {
  config_.ckpt_root = folder_.path();
  auto const places = scratch_places(config_, std::nullopt).value();
  for (auto const& place : places) {
    EXPECT_NE(place, folder_.path());
  }
  auto const asked = scratch_places(config_, two_);
  ASSERT_TRUE(asked.has_error());
  EXPECT_NE(asked.error().message.find("lies in ckpt_root"), std::string::npos);
}

TEST_F(DrillScratchTest, IsNeverInCkptRootByALinkEither) {
  fs::create_directory_symlink(config_.ckpt_root, folder_.path() / "link");
  EXPECT_TRUE(scratch_places(config_, folder_.path() / "link").has_error());
}

TEST_F(DrillScratchTest, HasToBeAFolder) {
  EXPECT_TRUE(scratch_places(config_, "relative").has_error());
  EXPECT_TRUE(scratch_places(config_, folder_.path() / "absent").has_error());
  EXPECT_TRUE(scratch_places(config_, fs::path("/tmp/\n")).has_error());
}

}  // namespace
}  // namespace grove
