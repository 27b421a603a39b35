// The functions of base/file.h about folders and file systems.
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

TEST(MakeFolders, MakesAllThatAreMissing) {
  TestFolder const folder;
  EXPECT_TRUE(make_folders(folder / "a/b/c"));
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
  EXPECT_TRUE(make_folders(folder / "a/b/c"));
  EXPECT_TRUE(make_folders(folder / "a/b/d/"));
  EXPECT_TRUE(fs::is_directory(folder / "a/b/d"));
}

TEST(MakeFolders, GoesThroughALinkToAFolder) {
  TestFolder const folder;
  fs::create_directory(folder / "real");
  fs::create_directory_symlink("real", folder / "link");
  EXPECT_TRUE(make_folders(folder / "link/a"));
  EXPECT_TRUE(fs::is_directory(folder / "real/a"));
}

TEST(MakeFolders, RefusesWhereAFileIsInTheWay) {
  TestFolder const folder;
  folder.write("file", "x");
  EXPECT_EQ(make_folders(folder / "file").error().kind, ErrorKind::invalid);
  EXPECT_EQ(make_folders(folder / "file/a").error().kind, ErrorKind::invalid);
  EXPECT_EQ(make_folders(folder / std::string(256, 'n')).error().kind, ErrorKind::invalid);
  EXPECT_TRUE(make_folders(folder / std::string(255, 'n')));
}

TEST(ListFolder, GivesSortedNames) {
  TestFolder const folder;
  folder.write("b", "");
  folder.write("a", "");
  folder.write("c/d", "");
  EXPECT_EQ(list_folder(folder.path()).value(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(ListFolder, TakesAMissingFolderForAnEmptyOneButNotAFile) {
  TestFolder const folder;
  folder.write("file", "");
  EXPECT_TRUE(list_folder(folder / "none").value().empty());
  EXPECT_EQ(list_folder(folder / "file").error().kind, ErrorKind::invalid);
}

TEST(Remove, TakesAwayFilesAndTreesAndMindsNothingMissing) {
  TestFolder const folder;
  folder.write("file", "");
  folder.write("tree/a/b", "");
  EXPECT_TRUE(remove_file(folder / "file"));
  EXPECT_TRUE(remove_file(folder / "file"));
  EXPECT_EQ(remove_file(folder / "tree").error().kind, ErrorKind::invalid);
  EXPECT_TRUE(remove_tree(folder / "tree"));
  EXPECT_TRUE(remove_tree(folder / "tree"));
  EXPECT_TRUE(list_folder(folder.path()).value().empty());
}

TEST(Remove, DoesNotFollowLinksOutOfATree) {
  TestFolder const folder;
  folder.write("kept/file", "x");
  folder.write("tree/file", "x");
  fs::create_directory_symlink(folder / "kept", folder / "tree/link");
  EXPECT_TRUE(remove_tree(folder / "tree"));
  EXPECT_TRUE(fs::exists(folder / "kept/file"));
}

TEST(Rename, NamesBothPathsWhenItFails) {
  TestFolder const folder;
  folder.write("a", "x");
  EXPECT_TRUE(rename_file(folder / "a", folder / "b"));
  auto const renamed = rename_file(folder / "a", folder / "c");
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error(), (Error{ErrorKind::not_found,
                                    "cannot rename " + (folder / "a").native() + " to " +
                                        (folder / "c").native() + ": no such file or directory"}));
}

TEST(Sync, WorksOnFoldersAndFileSystems) {
  TestFolder const folder;
  EXPECT_TRUE(sync_folder(folder.path()));
  EXPECT_TRUE(sync_file_system(folder.path()));
  EXPECT_EQ(sync_folder(folder / "none").error().kind, ErrorKind::not_found);
  EXPECT_EQ(sync_file_system(folder / "none").error().kind, ErrorKind::not_found);
}

TEST(Space, IsToldOfTheDiskThatHoldsThePath) {
  TestFolder const folder;
  auto const space = space_of(folder.path());
  ASSERT_TRUE(space);
  EXPECT_GT(space.value().total_bytes, 0U);
  EXPECT_LE(space.value().free_bytes, space.value().total_bytes);
  EXPECT_EQ(space_of(folder / "none").error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace grove
