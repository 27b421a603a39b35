#include "store/ref_store.h"

#include <limits>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "store/ref_files.h"
#include "store/test_store.h"

namespace grove {
namespace {

std::vector<InventoryEntry> inventory(TestStore& store) {
  return store.refs().inventory({}, "", 100).value().entries;
}

std::filesystem::path path_of(TestStore& store, Ref const& ref) {
  return ref_path(store.data(), ref.key, ref.generation, ref.name);
}

TEST(RefStore, GivesBackListsAndManifests) {
  TestStore store;
  auto const list = store.put_list({"a", "bb"});
  EXPECT_EQ(store.refs().list(list).value().bytes(), 3U);
  EXPECT_EQ(sha256(store.refs().list_bytes(list).value().span()), list);
  auto const content = TestStore::manifest(step_100, 7, list, list, 3);
  auto const manifest = store.put_manifest(content);
  EXPECT_EQ(store.refs().manifest(manifest).value(), content);
  EXPECT_EQ(kind_of(store.refs().manifest(list)), ErrorKind::not_found);
  EXPECT_EQ(kind_of(store.refs().list(manifest)), ErrorKind::not_found);
}

TEST(RefStore, RefusesListsAndManifestsThatAreNone) {
  TestStore store;
  std::string const text = "anything";
  EXPECT_EQ(kind_of(store.refs().put_list(sha256(text), bytes_of(text))), ErrorKind::invalid);
  EXPECT_EQ(kind_of(store.refs().put_manifest(sha256(text), bytes_of(text))), ErrorKind::invalid);
  EXPECT_EQ(kind_of(store.refs().put_list(sha256("other"), bytes_of(text))), ErrorKind::corrupt);
}

TEST(RefStore, KeepsTheReserveFree) {
  TestStore store;
  ChunkStore full(store.data(), std::numeric_limits<std::uint64_t>::max());
  auto const refs = RefStore::open(store.data(), full).value();
  auto const bytes = serialize(ShardList{});
  EXPECT_EQ(kind_of(refs->put_list(sha256(bytes.span()), bytes.span())), ErrorKind::exhausted);
  EXPECT_TRUE(names_in(store.data().shard_lists()).empty());
}

TEST(RefStore, CountsWhatIsMissingAndSeesItComeBack) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a", "bb", "ccc"});
  ASSERT_EQ(inventory(store).size(), 1U);
  EXPECT_EQ(inventory(store)[0].ref, ref);
  EXPECT_EQ(inventory(store)[0].missing_count, 0U);
  EXPECT_EQ(inventory(store)[0].bytes, 6U);

  flip_byte(store.chunk_path(sha256("bb")), 33);
  EXPECT_EQ(kind_of(store.chunks().get(sha256("bb"))), ErrorKind::corrupt);
  ASSERT_TRUE(store.chunks().remove(sha256("a")));
  EXPECT_EQ(inventory(store)[0].missing_count, 2U);
  store.put_chunk("bb");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(inventory(store)[0].missing_count, 1U);
  store.put_chunk("a");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(inventory(store)[0].missing_count, 0U);
}

TEST(RefStore, CountsAShardWhoseListIsDamagedAsDamaged) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a", "b"});
  store.put_commit(step_100, 7);
  store.open();
  flip_byte(store.list_path(ref.target), 30);
  auto const entries = inventory(store);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].missing_count, 0U);
  EXPECT_EQ(entries[1].missing_count, 1U);
  store.put_list({"a", "b"});
  EXPECT_EQ(inventory(store)[1].missing_count, 0U);
}

TEST(RefStore, ShowsAListAsDamagedAsSoonAsSomebodyHasReadIt) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  EXPECT_EQ(store.refs().inventory({}, "", 10).value().entries.at(0).missing_count, 0U);
  auto const before = store.refs().inventory_digest();
  flip_byte(store.list_path(ref.target), 30);
  EXPECT_EQ(kind_of(store.refs().list_bytes(ref.target)), ErrorKind::corrupt);
  EXPECT_EQ(store.refs().inventory({}, "", 10).value().entries.at(0).missing_count, 1U);
  EXPECT_NE(store.refs().inventory_digest(), before);
}

TEST(RefStore, PagesTheInventory) {
  TestStore store;
  auto const first = store.put_shard("a", 1, 0, {"x"});
  auto const second = store.put_shard("b", 1, 0, {"x"});
  auto const page = store.refs().inventory({}, "", 1).value();
  EXPECT_EQ(page.entries.at(0).ref, first);
  auto const last = store.refs().inventory({}, page.next, 1).value();
  EXPECT_EQ(last.entries.at(0).ref, second);
  EXPECT_TRUE(last.next.empty());
  EXPECT_EQ(store.refs().inventory({.only = key_of("b")}, "", 9).value().entries.size(), 1U);
  EXPECT_EQ(kind_of(store.refs().inventory({}, "?", 1)), ErrorKind::invalid);
}

TEST(RefStore, MovesARemovedRefToTheTrashForGood) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  auto const other = store.put_shard(step_100, 7, 1, {"b"});
  auto const digest = store.refs().inventory_digest();
  ASSERT_TRUE(store.refs().remove_ref(ref, RefRemoval::is_proven));
  EXPECT_EQ(store.refs().all_refs(), std::vector{other});
  EXPECT_NE(store.refs().inventory_digest(), digest);
  EXPECT_EQ(names_in(store.data().trash()).size(), 1U);
  EXPECT_TRUE(store.refs().remove_ref(ref, RefRemoval::is_proven)) << "gone is fine";

  ASSERT_TRUE(store.refs().remove_ref(other, RefRemoval::is_proven));
  EXPECT_TRUE(names_in(store.data().refs()).empty()) << "empty folders go as well";
  store.open();
  EXPECT_TRUE(store.refs().all_refs().empty());
  EXPECT_EQ(names_in(store.data().trash()).size(), 2U);
}

TEST(RefStore, QuarantinesDamagedRefsAtStartAndKeepsTheOthers) {
  TestStore store;
  auto const kept = store.put_shard(step_100, 7, 0, {"a"});
  auto const damaged = store.put_shard(step_100, 7, 1, {"a"});
  auto const large = store.put_shard(step_100, 8, 0, {"a"});
  flip_byte(path_of(store, damaged), 0);
  std::filesystem::resize_file(path_of(store, large), limits::ref_bytes_max + 1);
  store.open();
  EXPECT_EQ(store.refs().all_refs(), std::vector{kept});
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 2U);
  EXPECT_TRUE(store.refs().put_ref(damaged).value().missing.empty()) << "it can be put again";
}

TEST(RefStore, QuarantinesARefThatLiesWhereAnotherBelongs) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  std::filesystem::copy_file(path_of(store, ref), path_of(store, ref).parent_path() / "3.json");
  store.open();
  EXPECT_EQ(store.refs().all_refs(), std::vector{ref});
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 1U);
}

TEST(RefStore, StartsWithAFolderThatWasMadeForNoRef) {
  TestStore store;
  auto const key = key_of(step_100);
  ASSERT_TRUE(make_folders(ref_path(store.data(), key, Generation{7}, RefName{}).parent_path()));
  store.open();
  EXPECT_TRUE(store.refs().all_refs().empty());
  EXPECT_TRUE(names_in(store.data().refs()).empty());
}

TEST(RefStore, KeepsTheLatestTombstoneOfAnIdentityAcrossStarts) {
  TestStore store;
  Tombstone const earlier{key_of(step_100), Generation{5}, 100, 1};
  Tombstone const later{key_of(step_100), Generation{9}, 200, 2};
  ASSERT_TRUE(store.refs().put_tombstone(earlier));
  EXPECT_EQ(store.refs().tombstones(), std::vector{earlier});
  ASSERT_TRUE(store.refs().put_tombstone(later));
  ASSERT_TRUE(store.refs().put_tombstone(earlier));
  EXPECT_EQ(store.refs().tombstones(), std::vector{later});
  store.open();
  EXPECT_EQ(store.refs().tombstones(), std::vector{later});

  flip_byte(tombstone_path(store.data(), later.key), 0);
  store.open();
  EXPECT_TRUE(store.refs().tombstones().empty());
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 1U);
}

TEST(RefStore, KeepsWhatShouldExistAsItCame) {
  TestStore store;
  auto const kept = [&] {
    auto const bytes = read_whole(store.data().expected(), limits::json_body_bytes_max).value();
    return std::string(text_of(bytes));
  };
  ASSERT_TRUE(store.refs().put_expected(bytes_of(R"({ "b" : 1, "a":[] })")));
  EXPECT_EQ(kept(), R"({ "b" : 1, "a":[] })");
  EXPECT_EQ(kind_of(store.refs().put_expected(bytes_of("{"))), ErrorKind::invalid);
  EXPECT_EQ(kind_of(store.refs().put_expected({})), ErrorKind::invalid);
  EXPECT_EQ(kept(), R"({ "b" : 1, "a":[] })");

  auto const of_size = [](std::size_t size) { return '"' + std::string(size - 2, 'x') + '"'; };
  auto const largest = of_size(limits::json_body_bytes_max);
  EXPECT_TRUE(store.refs().put_expected(bytes_of(largest)));
  auto const larger = of_size(limits::json_body_bytes_max + 1);
  EXPECT_EQ(kind_of(store.refs().put_expected(bytes_of(larger))), ErrorKind::invalid);
  EXPECT_EQ(kept(), largest);
}

}  // namespace
}  // namespace grove
