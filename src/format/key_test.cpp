#include "format/key.h"

#include <string>

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using namespace std::string_literals;

ErrorKind refusal_of(std::string_view identity) {
  auto const key = CheckpointKey::parse(identity);
  EXPECT_FALSE(key.has_value()) << identity;
  return key.has_error() ? key.error().kind : ErrorKind::internal;
}

// A path of exactly `size` bytes whose parts are all short enough.
std::string path_of(std::size_t size) {
  std::string path;
  while (path.size() < size) path += path.size() % 200 == 199 ? '/' : 'x';
  if (path.back() == '/') path.back() = 'x';
  return path;
}

TEST(CheckpointKey, IsAFolderAndAFileName) {
  auto const key = CheckpointKey::parse("run1/step_100/model.safetensors").value();
  EXPECT_EQ(key.identity(), "run1/step_100/model.safetensors");
  EXPECT_EQ(key.folder(), "run1/step_100");
  EXPECT_EQ(key.file_name(), "model.safetensors");
  EXPECT_EQ(key.extension(), ".safetensors");
  EXPECT_TRUE(key.is_safetensors());
  EXPECT_EQ(key.display(), "run1/step_100");
  EXPECT_EQ(key.digest(), sha256("run1/step_100/model.safetensors"));
}

TEST(CheckpointKey, IsShownByItsFileNameInTheRoot) {
  auto const key = CheckpointKey::parse("optimizer.pt").value();
  EXPECT_EQ(key.folder(), "");
  EXPECT_EQ(key.file_name(), "optimizer.pt");
  EXPECT_EQ(key.display(), "optimizer.pt");
  EXPECT_FALSE(key.is_safetensors());
}

TEST(CheckpointKey, HasTheExtensionOfItsFileNameOnly) {
  EXPECT_EQ(CheckpointKey::parse("run.d/model").value().extension(), "");
  EXPECT_EQ(CheckpointKey::parse("a/.hidden").value().extension(), "");
  EXPECT_EQ(CheckpointKey::parse("a/.hidden.pt").value().extension(), ".pt");
  EXPECT_EQ(CheckpointKey::parse("a/model.tar.gz").value().extension(), ".gz");
  EXPECT_FALSE(CheckpointKey::parse("run.safetensors/model").value().is_safetensors());
}

TEST(CheckpointKey, AcceptsNamesThatOnlyLookStrange) {
  for (std::string_view const name : {"...", "a..b", "..a/b..", "with space", "100%", "模型/🙂",
                                      "back\\slash", "~", "-rf", "a:b", "\"quoted\""}) {
    EXPECT_TRUE(CheckpointKey::parse(name).has_value()) << name;
  }
}

TEST(CheckpointKey, RefusesPathsThatLeaveTheRoot) {
  for (std::string_view const name :
       {"..", "../x", "a/../b", "a/..", ".", "./a", "a/./b", "a/.", "/", "/etc/passwd"}) {
    EXPECT_EQ(refusal_of(name), ErrorKind::invalid);
  }
}

TEST(CheckpointKey, RefusesEmptyParts) {
  for (std::string_view const name : {"", "a//b", "a/", "//"}) {
    EXPECT_EQ(refusal_of(name), ErrorKind::invalid);
  }
}

TEST(CheckpointKey, RefusesControlCharactersAndWhatIsNotUtf8) {
  EXPECT_EQ(refusal_of("a\0b"s), ErrorKind::invalid);
  EXPECT_EQ(refusal_of("a\nb"), ErrorKind::invalid);
  EXPECT_EQ(refusal_of("a\xff"), ErrorKind::invalid);
  EXPECT_EQ(refusal_of("a/\xc0\xae\xc0\xae/b"), ErrorKind::invalid);
}

TEST(CheckpointKey, MayBeAsLongAsTheLimitAndNoLonger) {
  EXPECT_TRUE(CheckpointKey::parse(path_of(limits::identity_bytes_max)).has_value());
  EXPECT_EQ(refusal_of(path_of(limits::identity_bytes_max + 1)), ErrorKind::invalid);
}

TEST(CheckpointKey, MayHavePartsAsLongAsAFileNameAndNoLonger) {
  EXPECT_TRUE(CheckpointKey::parse("a/" + std::string(limits::name_bytes_max, 'x')).has_value());
  EXPECT_EQ(refusal_of("a/" + std::string(limits::name_bytes_max + 1, 'x')), ErrorKind::invalid);
}

TEST(CheckpointKey, KeepsItsMessageToOneLine) {
  auto const key = CheckpointKey::parse("a\nb");
  ASSERT_TRUE(key.has_error());
  EXPECT_EQ(key.error().message,
            R"(checkpoint name "a\x0ab": not UTF-8 text without control characters)");
}

}  // namespace
}  // namespace grove
