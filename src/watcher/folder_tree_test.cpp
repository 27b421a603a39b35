#include "watcher/folder_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include <gtest/gtest.h>
#include <sched.h>

#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

class FolderTreeTest : public testing::Test {
 protected:
  void write(std::string const& path, std::string const& text = "x") {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  static std::set<std::string> names(std::vector<FoundFile> const& files) {
    std::set<std::string> found;
    for (auto const& file : files) found.insert(file.version ? file.path : "-" + file.path);
    return found;
  }

  TestFolder folder_;
  fs::path root_ = folder_.path();
  FolderTree tree_{root_, {".pth"}};
};

using Names = std::set<std::string>;

TEST_F(FolderTreeTest, FindsWantedFilesAtAnyDepthAndNothingElse) {
  write("a.pth");
  write("x/y/z/b.pth");
  write("x/merged.pth");
  write("x/notes.txt");
  write("x/.hidden/c.pth");
  write("tmp-x/d.pth");
  fs::create_symlink(root_ / "a.pth", root_ / "link.pth");
  fs::create_directory_symlink(root_ / "x", root_ / "linked");
  EXPECT_EQ(names(tree_.read().value()), (Names{"a.pth", "x/merged.pth", "x/y/z/b.pth"}));
}

TEST_F(FolderTreeTest, IsToldOfFilesInFoldersThatCameLater) {
  ASSERT_TRUE(tree_.read());
  write("n/e/w/a.pth");
  EXPECT_EQ(names(tree_.take_changes().files), Names{"n/e/w/a.pth"});
  write("n/e/w/b.pth");
  fs::remove(root_ / "n/e/w/a.pth");
  EXPECT_EQ(names(tree_.take_changes().files), (Names{"-n/e/w/a.pth", "n/e/w/b.pth"}));
  EXPECT_TRUE(tree_.take_changes().files.empty());
}

TEST_F(FolderTreeTest, FollowsFoldersThatAreRenamed) {
  write("tmp-1/sub/a.pth");
  ASSERT_TRUE(tree_.read().value().empty());
  fs::rename(root_ / "tmp-1", root_ / "step_1");
  EXPECT_EQ(names(tree_.take_changes().files), Names{"step_1/sub/a.pth"});
  fs::rename(root_ / "step_1", root_ / "step_2");
  auto const changes = tree_.take_changes();
  EXPECT_EQ(changes.gone_folders, std::vector<std::string>{"step_1"});
  EXPECT_EQ(names(changes.files), Names{"step_2/sub/a.pth"});
  write("step_2/sub/a.pth", "more");
  EXPECT_EQ(names(tree_.take_changes().files), Names{"step_2/sub/a.pth"});
}

TEST_F(FolderTreeTest, SaysThatTheRootIsGone) {
  ASSERT_TRUE(tree_.read());
  auto const elsewhere = root_.parent_path() / (root_.filename().string() + "-moved");
  fs::rename(root_, elsewhere);
  EXPECT_TRUE(tree_.take_changes().must_read);
  EXPECT_EQ(tree_.read().error().kind, ErrorKind::not_found);
  fs::rename(elsewhere, root_);
  EXPECT_TRUE(tree_.read());
}

TEST_F(FolderTreeTest, AfterMoreThanTheKernelKeepsItSaysSoAndReadsAgainWhatWasMissed) {
  write("a.pth");
  write("b.pth");
  write("gone/c.pth");
  ASSERT_TRUE(tree_.read());
  std::size_t queue_max = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queue_max;
  // In turn, since the kernel merges events that are alike.
  for (std::size_t count = 0; count <= queue_max; ++count) {
    ASSERT_EQ(::chmod((root_ / (count % 2 == 0 ? "a.pth" : "b.pth")).c_str(), 0600), 0);
  }
  fs::remove_all(root_ / "gone");
  write("missed/d.pth");
  EXPECT_TRUE(tree_.take_changes().must_read);
  EXPECT_EQ(names(tree_.read().value()), (Names{"a.pth", "b.pth", "missed/d.pth"}));
  EXPECT_FALSE(tree_.take_changes().must_read);
  // What was missed is watched too, also where a name comes again.
  write("missed/e.pth");
  write("gone/f.pth");
  EXPECT_EQ(names(tree_.take_changes().files), (Names{"gone/f.pth", "missed/e.pth"}));
}

bool may_watch(char const* instances) {
  int const file = ::open("/proc/sys/user/max_inotify_instances", O_WRONLY | O_CLOEXEC);
  bool const is_set = file >= 0 && ::write(file, instances, std::strlen(instances)) > 0;
  if (file >= 0) ::close(file);
  return is_set;
}

// In a namespace where inotify has limits of its own; the exit status says how far it came.
[[noreturn]] void reach_the_limit_and_come_back(FolderTree& tree) {
  if (::unshare(CLONE_NEWUSER) != 0 || !may_watch("0")) std::_Exit(1);
  if (!tree.read() || tree.is_told()) std::_Exit(2);
  if (!may_watch("10")) std::_Exit(3);
  if (!tree.read() || tree.is_told()) std::_Exit(4);  // not before it is told to try
  tree.try_again();
  std::_Exit(tree.read() && tree.is_told() ? 0 : 5);
}

TEST_F(FolderTreeTest, IsToldAgainOnceInotifyHasRoom) {
  EXPECT_EXIT(reach_the_limit_and_come_back(tree_), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace grove
