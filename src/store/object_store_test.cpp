#include "store/object_store.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "store/test_store.h"

namespace grove {
namespace {

constexpr std::uint64_t bytes_max = 16;
constexpr auto any_age = std::numeric_limits<std::int64_t>::max();

// Of objects that begin with "o".
class Objects : public testing::Test {
 protected:
  Digest put(std::string_view text) {
    EXPECT_TRUE(objects_.put(sha256(text), bytes_of(text)));
    return sha256(text);
  }
  std::filesystem::path path(Digest const& digest) const {
    return store_.data().shard_lists() / digest.hex();
  }

  TestStore store_;
  ObjectStore objects_{store_.data(),
                       {.place = store_.data().shard_lists(),
                        .noun = "object",
                        .bytes_max = bytes_max,
                        .check = [](std::span<std::byte const> bytes) -> Result<void> {
                          if (!bytes.empty() && bytes.front() == std::byte{'o'}) return ok();
                          return fail(ErrorKind::invalid, "not an object");
                        }}};
};

TEST_F(Objects, ComeBackAsTheyWerePut) {
  auto const digest = put("object");
  EXPECT_EQ(text_of(objects_.get(digest).value().span()), "object");
  EXPECT_EQ(kind_of(objects_.get(sha256("other"))), ErrorKind::not_found);
  EXPECT_TRUE(names_in(store_.data().tmp()).empty());
}

TEST_F(Objects, AreRefusedUnderAWrongNameOfAWrongKindOrTooLarge) {
  EXPECT_EQ(kind_of(objects_.put(sha256("other"), bytes_of("object"))), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(objects_.put(sha256("thing"), bytes_of("thing"))), ErrorKind::invalid);
  std::string const largest(bytes_max, 'o');
  put(largest);
  auto const larger = largest + "o";
  EXPECT_EQ(kind_of(objects_.put(sha256(larger), bytes_of(larger))), ErrorKind::invalid);
  EXPECT_EQ(names_in(store_.data().shard_lists()).size(), 1U);
}

TEST_F(Objects, ThatAreDamagedGoToQuarantineUntilPutAgain) {
  auto const digest = put("object");
  flip_byte(path(digest), 3);
  EXPECT_EQ(kind_of(objects_.get(digest)), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(objects_.get(digest)), ErrorKind::not_found);
  EXPECT_EQ(names_in(store_.data().quarantine()).size(), 1U);
  put("object");
  EXPECT_TRUE(objects_.get(digest));
}

TEST_F(Objects, ThatHaveGrownAreDamaged) {
  auto const digest = put("object");
  std::filesystem::resize_file(path(digest), bytes_max + 1);
  EXPECT_EQ(kind_of(objects_.get(digest)), ErrorKind::corrupt);
}

TEST_F(Objects, AreMendedByAPut) {
  auto const digest = put("object");
  flip_byte(path(digest), 3);
  put("object");
  EXPECT_TRUE(objects_.get(digest));
}

TEST_F(Objects, ThatNobodyKeepsAreRemovedWhenTheyAreOldEnough) {
  std::vector kept{put("o1"), put("o2")};
  std::ranges::sort(kept);
  auto const other = put("o3");
  auto const written_ns = stamp_of(path(other)).value().mtime_ns;
  EXPECT_EQ(objects_.remove_others(kept, written_ns - 1).value(), 0U);
  EXPECT_EQ(objects_.remove_others(kept, any_age).value(), 1U);
  EXPECT_EQ(kind_of(objects_.get(other)), ErrorKind::not_found);
  EXPECT_TRUE(objects_.get(kept[0]));
  EXPECT_TRUE(objects_.get(kept[1]));
}

TEST_F(Objects, AreYoungAgainWhenPutAgain) {
  auto const digest = put("object");
  make_older(path(digest), std::chrono::hours(48));
  auto const written_ns = stamp_of(path(digest)).value().mtime_ns;
  put("object");
  EXPECT_EQ(objects_.remove_others({}, written_ns).value(), 0U);
}

}  // namespace
}  // namespace grove
