#include "store/data_folder.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "store/test_store.h"

namespace grove {
namespace {

constexpr Rank rank{3};

Result<DataFolder> open(TestFolder const& folder, EmptyFolder empty = EmptyFolder::refuse,
                        Rank as = rank) {
  return DataFolder::open(folder.path(), as, empty);
}

std::string message_of(Result<DataFolder> const& result) {
  return result ? "" : result.error().message;
}

TEST(DataFolder, TakesAnEmptyFolderForANewDiskOnlyWhenTold) {
  TestFolder const folder;
  auto const refused = open(folder);
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  EXPECT_NE(message_of(refused).find("--new"), std::string::npos) << message_of(refused);
  EXPECT_TRUE(names_in(folder.path()).empty()) << "a refusal leaves nothing behind";

  auto const adopted = open(folder, EmptyFolder::adopt);
  ASSERT_TRUE(adopted) << message_of(adopted);
  EXPECT_EQ(adopted.value().rank(), rank);
  EXPECT_EQ(adopted.value().id().size(), 32U);
}

TEST(DataFolder, TakesAMissingFolderForANewDiskOnlyWhenTold) {
  TestFolder const folder;
  auto const root = folder / "deep" / "data";
  EXPECT_EQ(kind_of(DataFolder::open(root, rank, EmptyFolder::refuse)), ErrorKind::invalid);
  EXPECT_TRUE(names_in(folder.path()).empty());
  EXPECT_TRUE(DataFolder::open(root, rank, EmptyFolder::adopt));
}

TEST(DataFolder, CountsAFreshFileSystemAsEmpty) {
  TestFolder const folder;
  folder.write("lost+found/x", "");
  EXPECT_EQ(kind_of(open(folder)), ErrorKind::invalid);
  EXPECT_TRUE(open(folder, EmptyFolder::adopt));
}

TEST(DataFolder, KeepsItsIdAcrossStarts) {
  TestFolder const folder;
  auto const id = open(folder, EmptyFolder::adopt).value().id();
  EXPECT_EQ(open(folder).value().id(), id);
  EXPECT_EQ(open(folder, EmptyFolder::adopt).value().id(), id) << "--new changes no used folder";
  TestFolder const other;
  EXPECT_NE(open(other, EmptyFolder::adopt).value().id(), id);
}

TEST(DataFolder, RefusesAnotherRank) {
  TestFolder const folder;
  ASSERT_TRUE(open(folder, EmptyFolder::adopt));
  auto const refused = open(folder, EmptyFolder::adopt, Rank{4});
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  EXPECT_NE(message_of(refused).find("belongs to rank 3, not 4"), std::string::npos)
      << message_of(refused);
  EXPECT_TRUE(open(folder));
}

TEST(DataFolder, KnowsFormatOneAndRefusesANewerOne) {
  TestFolder const folder;
  auto const identity = [](int format) {
    return fmt::format("{{\"format\":{},\"rank\":3,\"id\":\"{}\"}}", format, std::string(32, 'a'));
  };
  folder.write("identity.json", identity(1));
  EXPECT_EQ(open(folder).value().id(), std::string(32, 'a'));
  folder.write("identity.json", identity(2));
  auto const refused = open(folder);
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  EXPECT_NE(message_of(refused).find("update grove"), std::string::npos) << message_of(refused);
}

TEST(DataFolder, RefusesOneThatHasLostItsIdentity) {
  TestFolder const folder;
  ASSERT_TRUE(open(folder, EmptyFolder::adopt));
  ASSERT_TRUE(remove_file(folder / "identity.json"));
  EXPECT_EQ(kind_of(open(folder)), ErrorKind::invalid);
  auto const refused = open(folder, EmptyFolder::adopt);
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  EXPECT_NE(message_of(refused).find("it is missing, but"), std::string::npos)
      << message_of(refused);
}

TEST(DataFolder, NeverSweepsATmpThatIsNotItsOwn) {
  TestFolder const folder;
  folder.write("tmp/thesis.tex", "years of work");
  EXPECT_EQ(kind_of(open(folder, EmptyFolder::adopt)), ErrorKind::invalid);
  EXPECT_EQ(names_in(folder / "tmp").size(), 1U);
}

class DamagedIdentity : public testing::TestWithParam<char const*> {};

TEST_P(DamagedIdentity, IsRefusedWithItsPath) {
  TestFolder const folder;
  folder.write("identity.json", GetParam());
  auto const refused = open(folder, EmptyFolder::adopt);
  EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  EXPECT_NE(message_of(refused).find((folder / "identity.json").native()), std::string::npos)
      << message_of(refused);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedIdentity,
    testing::Values("", "{", "[]", "{}", R"({"format":1})", R"({"format":0,"rank":3,"id":"a"})",
                    R"({"format":1,"rank":3})", R"({"format":1,"rank":3,"id":"short"})",
                    R"({"format":1,"rank":-3,"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
                    R"({"format":1,"rank":4294967296,"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
                    R"({"format":1,"rank":3,"id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})",
                    R"({"format":"1","rank":3,"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})"));

TEST(DataFolder, IsHeldByOneProcessAtATime) {
  TestFolder const folder;
  {
    auto const first = open(folder, EmptyFolder::adopt);
    ASSERT_TRUE(first);
    auto const second = open(folder);
    EXPECT_EQ(kind_of(second), ErrorKind::conflict);
    EXPECT_NE(message_of(second).find("another grove worker uses"), std::string::npos)
        << message_of(second);
  }
  EXPECT_TRUE(open(folder));
}

TEST(DataFolder, SweepsWhatACutOffProcessHasLeft) {
  TestFolder const folder;
  ASSERT_TRUE(open(folder, EmptyFolder::adopt));
  folder.write("tmp/.grove-1234", "half a chunk");
  folder.write("tmp/deep/folder", "");
  folder.write(".grove-5678", "half an identity");
  ASSERT_TRUE(open(folder));
  EXPECT_TRUE(names_in(folder / "tmp").empty());
  EXPECT_FALSE(std::filesystem::exists(folder / ".grove-5678"));
}

TEST(DataFolder, WritesByWayOfTmpAndLeavesNothingThere) {
  TestFolder const folder;
  auto const data = open(folder, EmptyFolder::adopt).value();
  ASSERT_TRUE(data.write(data.expected(), bytes_of("{}")));
  ASSERT_TRUE(data.write(data.expected(), bytes_of("[]")));
  EXPECT_EQ(text_of(read_whole(data.expected(), 10).value().span()), "[]");
  EXPECT_FALSE(data.write(data.root() / "no" / "such folder", bytes_of("x")));
  EXPECT_TRUE(names_in(data.tmp()).empty());
}

TEST(DataFolder, QuarantineTellsWhereAFileWas) {
  TestFolder const folder;
  auto const data = open(folder, EmptyFolder::adopt).value();
  folder.write("chunks/ab/x", "damaged");
  ASSERT_TRUE(data.move_to_quarantine(data.chunks() / "ab" / "x"));
  EXPECT_EQ(names_in(data.quarantine()), std::vector<std::string>{"chunks-ab-x"});
  EXPECT_TRUE(names_in(data.chunks() / "ab").empty());
  EXPECT_TRUE(data.move_to_quarantine(data.chunks() / "ab" / "x")) << "what is gone is fine";
}

}  // namespace
}  // namespace grove
