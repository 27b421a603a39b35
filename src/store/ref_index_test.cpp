#include "store/ref_index.h"

#include <gtest/gtest.h>

#include "store/test_store.h"

namespace grove {
namespace {

Ref ref(std::string_view identity, std::uint64_t generation, RefName name,
        std::string_view target = "target") {
  return Ref{key_of(identity), Generation{generation}, name, sha256(target)};
}

std::vector<Ref> refs_of(RefIndex::Page const& page) {
  std::vector<Ref> refs;
  for (auto const& entry : page.entries) refs.push_back(entry.ref);
  return refs;
}

// In the order of the inventory.
std::vector<Ref> const all{
    ref("a/1/x/y", 9, RefName{}),   ref("b", 2, RefName{}),      ref("b", 2, shard_name(2)),
    ref("b", 2, shard_name(10)),    ref("b", 10, shard_name(0)), ref("b/c", 1, shard_name(0)),
    ref("c d/é", 1, shard_name(0)),
};

class FilledIndex : public testing::Test {
 protected:
  FilledIndex() {
    for (auto ref = all.rbegin(); ref != all.rend(); ++ref) index_.insert(*ref);
  }
  RefIndex index_;
};

TEST_F(FilledIndex, IsOrderedByIdentityGenerationAndName) {
  EXPECT_EQ(index_.all(), all);
}

TEST_F(FilledIndex, ComesInPagesOfAnySize) {
  for (std::size_t count_max = 1; count_max <= all.size() + 1; ++count_max) {
    std::vector<Ref> seen;
    std::string after;
    do {
      auto const page = index_.page({}, after, count_max).value();
      EXPECT_LE(page.entries.size(), count_max);
      for (auto const& entry : page.entries) seen.push_back(entry.ref);
      after = page.next;
    } while (!after.empty());
    EXPECT_EQ(seen, all) << count_max;
  }
}

TEST_F(FilledIndex, HasNoNextPageWhenTheLastIsFull) {
  EXPECT_TRUE(index_.page({}, "", all.size()).value().next.empty());
  EXPECT_FALSE(index_.page({}, "", all.size() - 1).value().next.empty());
  EXPECT_EQ(index_.page({}, "", 0).value().entries.size(), 1U);
}

TEST_F(FilledIndex, GivesOneIdentityAlone) {
  std::vector<Ref> const expected(all.begin() + 1, all.begin() + 5);
  EXPECT_EQ(refs_of(index_.page({.only = key_of("b")}, "", 100).value()), expected);
  auto const first = index_.page({.only = key_of("b")}, "", 3).value();
  auto const second = index_.page({.only = key_of("b")}, first.next, 3).value();
  EXPECT_EQ(refs_of(second), std::vector<Ref>{expected[3]});
  EXPECT_TRUE(second.next.empty());
  EXPECT_TRUE(index_.page({.only = key_of("bb")}, "", 100).value().entries.empty());
}

TEST_F(FilledIndex, GivesTheIdentitiesThatBeginAsAsked) {
  auto const beginning = [&](std::string_view prefix, std::string after = {}) {
    return refs_of(index_.page({.prefix = std::string(prefix)}, after, 100).value());
  };
  EXPECT_EQ(beginning("b"), std::vector<Ref>(all.begin() + 1, all.begin() + 6));
  EXPECT_EQ(beginning("b/"), std::vector<Ref>{all[5]});
  EXPECT_EQ(beginning("a/1/x"), std::vector<Ref>{all[0]});
  EXPECT_EQ(beginning("c d/\xc3"), std::vector<Ref>{all[6]});  // half a character
  EXPECT_EQ(beginning(""), all);
  EXPECT_TRUE(beginning("b/c/").empty());
  EXPECT_TRUE(beginning("z").empty());
  auto const first = index_.page({.prefix = "b"}, "", 3).value();
  EXPECT_EQ(beginning("b", first.next), std::vector<Ref>(all.begin() + 4, all.begin() + 6));
  // A cursor from elsewhere leads neither before the prefix nor behind it.
  EXPECT_EQ(beginning("b", "9/manifest/a/1/x/y"), beginning("b"));
  EXPECT_TRUE(beginning("b", "1/0/c d/é").empty());
  EXPECT_TRUE(index_.page({.only = key_of("b"), .prefix = "c"}, "", 9).value().entries.empty());
}

TEST_F(FilledIndex, GivesManifestsAlone) {
  RefSelection const manifests{.names = {RefName{}}};
  EXPECT_EQ(refs_of(index_.page(manifests, "", 100).value()), (std::vector<Ref>{all[0], all[1]}));
  auto const first = index_.page(manifests, "", 1).value();
  EXPECT_EQ(refs_of(first), std::vector<Ref>{all[0]});
  auto const second = index_.page(manifests, first.next, 1).value();
  EXPECT_EQ(refs_of(second), std::vector<Ref>{all[1]});
  EXPECT_TRUE(second.next.empty());
  EXPECT_EQ(refs_of(index_.page({.prefix = "b", .names = {shard_name(0)}}, "", 9).value()),
            (std::vector<Ref>{all[4], all[5]}));
}

TEST_F(FilledIndex, GoesOnWhereTheLastOfAPageIsGone) {
  auto const first = index_.page({}, "", 3).value();
  index_.erase(all[2].key, all[2].generation, all[2].name);
  auto const second = index_.page({}, first.next, 100).value();
  EXPECT_EQ(refs_of(second), std::vector<Ref>(all.begin() + 3, all.end()));
}

TEST_F(FilledIndex, RefusesACursorThatNoPageHasGiven) {
  for (auto const* cursor : {"x", "/", "1/2", "1/x/b", "-1/0/b", "1/0/", "1/0/../b"}) {
    EXPECT_EQ(kind_of(index_.page({}, cursor, 1)), ErrorKind::invalid) << cursor;
  }
}

TEST_F(FilledIndex, FindsWhatIsThere) {
  for (auto const& ref : all) EXPECT_EQ(index_.find(ref.key, ref.generation, ref.name), ref);
  EXPECT_FALSE(index_.find(key_of("b"), Generation{3}, RefName{}));
}

TEST_F(FilledIndex, HasADigestThatChangesWithEveryPutAndRemoval) {
  auto const before = index_.digest();
  auto const version = index_.version();
  index_.insert(ref("new", 1, RefName{}));
  auto const with_one_more = index_.digest();
  EXPECT_NE(with_one_more, before);
  EXPECT_GT(index_.version(), version);
  index_.erase(key_of("new"), Generation{1}, RefName{});
  EXPECT_EQ(index_.digest(), before);
  index_.insert(ref("b", 2, RefName{}, "another target"));
  EXPECT_NE(index_.digest(), before);
}

TEST_F(FilledIndex, HasADigestOfWhatItHoldsHoweverThatCameAbout) {
  index_.insert(all.front());  // once more
  index_.insert(ref("b", 2, RefName{}, "another target"));
  index_.insert(ref("b", 2, RefName{}));
  index_.erase(key_of("never there"), Generation{1}, RefName{});
  RefIndex other;
  for (auto const& ref : all) other.insert(ref);
  EXPECT_EQ(index_.digest(), other.digest());
  EXPECT_NE(RefIndex().digest(), other.digest());
}

TEST_F(FilledIndex, RemembersVerificationsOfTheTargetThatStands) {
  auto const verified_ms = [&] {
    return index_.page({.only = key_of("b")}, "", 1).value().entries.at(0).verified_ms;
  };
  EXPECT_EQ(verified_ms(), std::nullopt);
  index_.set_verified(all[1], 1234);
  EXPECT_EQ(verified_ms(), 1234);
  index_.insert(all[1]);
  EXPECT_EQ(verified_ms(), 1234);
  index_.set_verified(ref("b", 2, RefName{}, "another target"), 5678);
  EXPECT_EQ(verified_ms(), 1234);
  index_.set_verified(all[1], std::nullopt);
  EXPECT_EQ(verified_ms(), std::nullopt);
}

}  // namespace
}  // namespace grove
