#include "coordinator/own_id.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"

namespace grove {
namespace {

TEST(OwnId, IsTheSameAfterARestartAndAnotherForAnotherConfig) {
  TestFolder const folder;
  std::string first;
  {
    auto const id = OwnId::take(folder / "ids", folder / "a.yaml");
    first = id.text();
    EXPECT_EQ(first.size(), 32u);
    EXPECT_NE(OwnId::take(folder / "ids", folder / "b.yaml").text(), first);
  }
  EXPECT_EQ(OwnId::take(folder / "ids", folder / "a.yaml").text(), first);
}

TEST(OwnId, IsNotSharedByTwoAtOnce) {
  TestFolder const folder;
  auto const first = OwnId::take(folder / "ids", folder / "a.yaml");
  EXPECT_NE(OwnId::take(folder / "ids", folder / "a.yaml").text(), first.text());
}

TEST(OwnId, IsANewOneWhereItsFileIsDamagedOrCannotBe) {
  TestFolder const folder;
  auto const first = OwnId::take(folder / "ids", folder / "a.yaml").text();
  for (auto const& entry : std::filesystem::directory_iterator(folder / "ids")) {
    if (entry.path().extension() != ".lock")
      folder.write("ids/" + entry.path().filename().string(), "?");
  }
  auto const second = OwnId::take(folder / "ids", folder / "a.yaml").text();
  EXPECT_NE(second, first);
  EXPECT_EQ(OwnId::take(folder / "ids", folder / "a.yaml").text(), second);
  folder.write("file", "");
  EXPECT_EQ(OwnId::take(folder / "file" / "ids", folder / "a.yaml").text().size(), 32u);
}

TEST(OwnId, HasRoomBesideItForWhatElseIsKept) {
  TestFolder const folder;
  auto const first = OwnId::take(folder / "ids", folder / "a.yaml");
  auto const second = OwnId::take(folder / "ids", folder / "b.yaml");
  ASSERT_TRUE(first.file_beside("drill.json") && second.file_beside("drill.json"));
  EXPECT_NE(*first.file_beside("drill.json"), *second.file_beside("drill.json"));
  EXPECT_EQ(first.file_beside("drill.json")->parent_path(), folder / "ids");
  // What belongs to another process is left to it.
  EXPECT_FALSE(OwnId::take(folder / "ids", folder / "a.yaml").file_beside("drill.json"));
}

}  // namespace
}  // namespace grove
