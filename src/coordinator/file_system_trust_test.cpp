#include "coordinator/file_system_trust.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(FileSystemTrust, HasNothingAgainstTheCommonOnes) {
  for (auto const* good : {"ext4 rw,relatime", "xfs rw,noatime,attr2,inode64", "btrfs rw,ssd",
                           "zfs rw,xattr", "f2fs rw", "ext4 rw,errors=remount-ro,data=ordered"}) {
    EXPECT_FALSE(trouble_with(good)) << good;
  }
}

TEST(FileSystemTrust, SaysNothingOfWhatItDoesNotKnow) {
  for (auto const* unknown : {"", " ", "newfs", "newfs rw,,x"}) {
    EXPECT_FALSE(trouble_with(unknown)) << unknown;
  }
}

TEST(FileSystemTrust, DistrustsWhatForgets) {
  for (auto const* bad : {"tmpfs rw,size=1k", "ramfs rw", "overlay rw", "vfat rw,utf8", "exfat rw",
                          "fuse rw", "fuse.sshfs rw", "fuse.mergerfs rw", "fuseblk rw",
                          "nfs4 rw,vers=4.2", "nfs rw", "cifs rw", "9p rw", "tmpfs"}) {
    auto const trouble = trouble_with(bad);
    ASSERT_TRUE(trouble) << bad;
    EXPECT_FALSE(trouble->text.empty() || trouble->remedy.empty()) << bad;
  }
}

TEST(FileSystemTrust, DistrustsOptionsThatGiveUpDurability) {
  for (auto const* bad : {"ext4 ro,relatime", "xfs rw,nobarrier", "ext4 rw,barrier=0",
                          "ext4 rw,relatime,data=writeback", "ext3 rw,barrier=none"}) {
    EXPECT_TRUE(trouble_with(bad)) << bad;
  }
  EXPECT_NE(trouble_with("ext4 rw,barrier=0")->remedy.find("barrier=0"), std::string::npos);
}

TEST(FileSystemTrust, TellsOptionsFromTheirNeighbours) {
  for (auto const* good : {"ext4 rw,barrier=1", "ext4 rw,errors=remount-ro", "ext4 rw,nodiscard"}) {
    EXPECT_FALSE(trouble_with(good)) << good;
  }
}

}  // namespace
}  // namespace grove
