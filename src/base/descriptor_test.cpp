#include "base/descriptor.h"

#include <string>

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(FileError, TurnsErrnoIntoAKind) {
  for (int const cause : {ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE}) {
    EXPECT_EQ(kind_of_errno(cause), ErrorKind::exhausted) << cause;
  }
  for (int const cause : {EACCES, EPERM, EROFS, ENOTDIR, EISDIR, ELOOP, EXDEV, ENAMETOOLONG}) {
    EXPECT_EQ(kind_of_errno(cause), ErrorKind::invalid) << cause;
  }
  EXPECT_EQ(kind_of_errno(ENOENT), ErrorKind::not_found);
  EXPECT_EQ(kind_of_errno(EEXIST), ErrorKind::conflict);
  EXPECT_EQ(kind_of_errno(EIO), ErrorKind::internal);
}

TEST(FileError, SaysWhatWhereAndWhyOnOneLine) {
  EXPECT_EQ(file_error("write", "/a\nb", ENOSPC).message,
            "cannot write /a\\x0ab: no space left on the disk; free some space");
  EXPECT_NE(file_error("write", "/a", EDQUOT).message.find("no space left"), std::string::npos);
  EXPECT_EQ(file_error("read", "/a", EIO).message, "cannot read /a: input/output error");
  EXPECT_EQ(file_error("read", "/a", 99999).message, "cannot read /a: errno 99999");
}

}  // namespace
}  // namespace grove
