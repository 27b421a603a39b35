#include "base/mount.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"

namespace grove {
namespace {

constexpr std::string_view mountinfo =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
    "23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=4k\n"
    "40 22 8:17 / /mnt/disk rw,noatime shared:3 master:4 - xfs /dev/sdb1 rw,nobarrier\n"
    "41 22 8:33 / /mnt/a\\040disk ro,noatime - vfat /dev/sdc1 ro,utf8\n"
    "42 40 0:44 / /mnt/disk/old rw - tmpfs tmpfs rw,size=1k\n"
    "43 22 0:50 / /btrfs rw - btrfs /dev/sdd rw,subvol=/\n";

TEST(FileSystemIn, IsThatOfTheInnermostMount) {
  EXPECT_EQ(file_system_in(mountinfo, "/home/pi", "8:1"), "ext4 rw,relatime,errors=remount-ro");
  EXPECT_EQ(file_system_in(mountinfo, "/mnt/disk", "8:17"), "xfs rw,noatime,nobarrier");
  EXPECT_EQ(file_system_in(mountinfo, "/mnt/disk/worker_1", "8:17"), "xfs rw,noatime,nobarrier");
  EXPECT_EQ(file_system_in(mountinfo, "/mnt/disk/old/x", "0:44"), "tmpfs rw,size=1k");
}

TEST(FileSystemIn, IsNotThatOfANeighbourWithALongerName) {
  EXPECT_EQ(file_system_in(mountinfo, "/mnt/disk2", "8:1"), "ext4 rw,relatime,errors=remount-ro");
}

TEST(FileSystemIn, KnowsBlanksInNames) {
  EXPECT_EQ(file_system_in(mountinfo, "/mnt/a disk/x", "8:33"), "vfat ro,noatime,utf8");
}

TEST(FileSystemIn, IsNotThatOfAMountThatAnotherHides) {
  auto const hidden = std::string(mountinfo) + "50 22 8:49 / /mnt rw - ext4 /dev/sde rw\n";
  EXPECT_EQ(file_system_in(hidden, "/mnt/disk/worker_1", "8:49"), "ext4 rw");
  auto const twice =
      std::string(mountinfo) + "50 40 8:17 / /mnt/disk rw - xfs /dev/sdb1 rw,later\n";
  EXPECT_EQ(file_system_in(twice, "/mnt/disk/x", "8:17"), "xfs rw,later");
}

TEST(FileSystemIn, FindsASubvolumeByItsPlace) {
  EXPECT_EQ(file_system_in(mountinfo, "/btrfs/volume", "0:51"), "btrfs rw,subvol=/");
}

TEST(FileSystemIn, LeavesOutWhatIsLong) {
  auto const overlay =
      "1 0 0:20 / / rw - overlay overlay rw,lowerdir=" + std::string(500, 'x') + ",volatile\n";
  EXPECT_EQ(file_system_in(overlay, "/data", "0:20"), "overlay rw,volatile");
  std::string options;
  for (int i = 0; i < 200; ++i) options += ",option" + std::to_string(i);
  auto const many = "1 0 0:20 / / rw - ext4 /dev/sda rw" + options + "\n";
  EXPECT_LE(file_system_in(many, "/data", "0:20").size(), 255u);
}

TEST(FileSystemIn, IsUnknownWhereNothingIsSaid) {
  EXPECT_EQ(file_system_in("", "/data", "8:1"), "");
  EXPECT_EQ(file_system_in("nonsense\n\n - \n1 2 3\n", "/data", "8:1"), "");
  EXPECT_EQ(file_system_in(mountinfo, "relative", "8:1"), "");
}

TEST(FileSystemOf, IsKnownOfAFolderAndNotOfWhatIsNotThere) {
  TestFolder const folder;
#if defined(__linux__)
  EXPECT_NE(file_system_of(folder.path()).find(" r"), std::string::npos);
#endif
  EXPECT_EQ(file_system_of(folder / "absent"), "");
}

}  // namespace
}  // namespace grove
