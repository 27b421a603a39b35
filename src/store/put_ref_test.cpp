// What RefStore::put_ref promises and refuses: the commit of a copy.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "store/ref_files.h"
#include "store/ref_store.h"
#include "store/test_store.h"

namespace grove {
namespace {

Ref shard_ref(Digest const& list, std::uint64_t generation = 7, std::uint32_t index = 0) {
  return Ref{key_of(step_100), Generation{generation}, shard_name(index), list};
}

Ref manifest_ref(Digest const& manifest, std::uint64_t generation = 7) {
  return Ref{key_of(step_100), Generation{generation}, RefName{}, manifest};
}

std::vector<Digest> missing_of(TestStore& store, Ref const& ref) {
  return store.refs().put_ref(ref).value().missing;
}

std::optional<Ref> found(TestStore& store, Ref const& ref) {
  return store.refs().find(ref.key, ref.generation, ref.name);
}

TEST(PutRef, MakesDurableTheRefAndAllItNames) {
  TestStore store;
  auto const chunk = store.put_chunk("a");
  auto const ref = shard_ref(store.put_list({"a"}));
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_TRUE(std::filesystem::exists(store.chunk_path(chunk.digest)));
  EXPECT_TRUE(names_in(store.data().tmp()).empty());
  EXPECT_EQ(found(store, ref), ref);

  store.open();
  EXPECT_EQ(found(store, ref), ref);
  EXPECT_EQ(store.refs().all_refs(), std::vector{ref});
  EXPECT_TRUE(store.chunks().verify(chunk.digest));
}

TEST(PutRef, NamesTheChunksThatAreMissingAndWritesNothing) {
  TestStore store;
  store.put_chunk("b");
  auto const ref = shard_ref(store.put_list({"c", "b", "a", "c"}));
  EXPECT_EQ(missing_of(store, ref), (std::vector{sha256("c"), sha256("a")}));
  EXPECT_FALSE(found(store, ref));
  EXPECT_TRUE(names_in(store.data().refs()).empty());

  store.put_chunk("a");
  store.put_chunk("c");
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_TRUE(found(store, ref));
}

TEST(PutRef, TakesAnEmptyShard) {
  TestStore store;
  EXPECT_TRUE(missing_of(store, shard_ref(store.put_list({}))).empty());
}

TEST(PutRef, IsFineTwiceAndAsksForWhatWasLostSince) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a", "b"});
  auto const digest = store.refs().inventory_digest();
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_EQ(store.refs().inventory_digest(), digest);

  ASSERT_TRUE(store.chunks().remove(sha256("b")));
  EXPECT_EQ(missing_of(store, ref), std::vector{sha256("b")});
  EXPECT_TRUE(found(store, ref)) << "a copy that lacks a chunk is still told of";
  store.put_chunk("b");
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_TRUE(std::filesystem::exists(store.chunk_path(sha256("b"))));
}

TEST(PutRef, RefusesAListOrManifestThatIsNotHere) {
  TestStore store;
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(sha256("no list")))), ErrorKind::not_found);
  EXPECT_EQ(kind_of(store.refs().put_ref(manifest_ref(sha256("none")))), ErrorKind::not_found);
  auto const content = TestStore::manifest(step_100, 7, sha256("list"), sha256("no list"), 1);
  EXPECT_EQ(kind_of(store.refs().put_ref(manifest_ref(store.put_manifest(content)))),
            ErrorKind::not_found)
      << "its header's list is not here";
}

TEST(PutRef, RefusesAListThatIsDamaged) {
  TestStore store;
  auto const list = store.put_list({"a"});
  flip_byte(store.list_path(list), 30);
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list))), ErrorKind::corrupt);
}

TEST(PutRef, RefusesAnotherTargetUnderTheSameName) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  store.put_chunk("b");
  auto const other = store.put_list({"b"});
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(other))), ErrorKind::conflict);
  EXPECT_EQ(found(store, ref), ref);
  EXPECT_TRUE(missing_of(store, shard_ref(other, 8)).empty());
  EXPECT_TRUE(missing_of(store, shard_ref(other, 7, 1)).empty());
}

TEST(PutRef, CommitsAGenerationWithTheHeadersChunks) {
  TestStore store;
  auto const content =
      TestStore::manifest(step_100, 7, sha256("list elsewhere"), store.put_list({"header"}), 1);
  auto const ref = manifest_ref(store.put_manifest(content));
  EXPECT_EQ(missing_of(store, ref), std::vector{sha256("header")});
  store.put_chunk("header");
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_EQ(store.refs().manifest(ref.target).value(), content);
}

TEST(PutRef, RefusesTheManifestOfAnotherIdentityOrGeneration) {
  TestStore store;
  auto const header = store.put_list({});
  auto const put = [&](std::string_view of_identity, std::uint64_t of_generation) {
    auto const content = TestStore::manifest(of_identity, of_generation, sha256("list"), header, 1);
    return kind_of(store.refs().put_ref(manifest_ref(store.put_manifest(content))));
  };
  EXPECT_EQ(put("run1/step_200/model.safetensors", 7), ErrorKind::invalid);
  EXPECT_EQ(put(step_100, 8), ErrorKind::invalid);
  EXPECT_EQ(put(step_100, 7), std::nullopt);
}

TEST(PutRef, RefusesWhatATombstoneCovers) {
  TestStore store;
  store.put_chunk("a");
  auto const list = store.put_list({"a"});
  ASSERT_TRUE(store.refs().put_tombstone({key_of(step_100), Generation{7}, 100, 1}));
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list, 6))), ErrorKind::conflict);
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list, 7))), ErrorKind::conflict);
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list, 8))), std::nullopt);
  Ref other = shard_ref(list, 7);
  other.key = key_of("run1/step_200/model.safetensors");
  EXPECT_EQ(kind_of(store.refs().put_ref(other)), std::nullopt);

  store.open();
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list, 7, 1))), ErrorKind::conflict);
}

TEST(PutRef, ReplacesARefThatLeadsToNothing) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  auto flipped = ref;
  flipped.target = sha256("a digit of it has flipped");
  auto const text = serialize(flipped);
  ASSERT_TRUE(store.data().write(ref_path(store.data(), ref.key, ref.generation, ref.name),
                                 bytes_of(text)));
  store.open();
  EXPECT_EQ(store.refs().all_refs(), std::vector{flipped});
  EXPECT_TRUE(missing_of(store, ref).empty());
  EXPECT_EQ(store.refs().all_refs(), std::vector{ref});
}

// Found by the simulator (tests/simulation): a witness that proved such a copy let the last durable
// one be dropped.
TEST(PutRef, PromisesNothingOfAChunkThatCameAgainUntilThatIsDurable) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a"});
  auto const missing = [&] {
    return store.refs().inventory({}, "", 1).value().entries.front().missing_count;
  };
  EXPECT_EQ(missing(), 0U);
  flip_byte(store.chunk_path(sha256("a")), 32);
  EXPECT_FALSE(store.chunks().verify(sha256("a")));
  EXPECT_EQ(missing(), 1U);
  store.put_chunk("a");
  EXPECT_EQ(missing(), 1U);
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(missing(), 0U);
}

TEST(Tombstone, TakesTheRefsThatItCoversWithIt) {
  TestStore store;
  auto const covered = store.put_shard(step_100, 7, 0, {"a"});
  auto const newer = store.put_shard(step_100, 8, 0, {"a"});
  auto const other = store.put_shard("run1/step_200/model.safetensors", 7, 0, {"a"});
  auto const before = store.refs().inventory_digest();
  Tombstone const tombstone{key_of(step_100), Generation{7}, 100, 1};
  EXPECT_EQ(store.refs().put_tombstone(tombstone).value(), 1U);
  EXPECT_EQ(store.refs().all_refs(), (std::vector{newer, other}));
  EXPECT_EQ(names_in(store.data().trash()).size(), 1U);
  EXPECT_NE(store.refs().inventory_digest(), before);
  EXPECT_EQ(store.refs().put_tombstone(tombstone).value(), 0U);
}

TEST(Tombstone, OfASingleGenerationLeavesThoseBesideIt) {
  TestStore store;
  auto const older = store.put_shard(step_100, 6, 0, {"a"});
  auto const single = store.put_shard(step_100, 7, 0, {"a"});
  auto const newer = store.put_shard(step_100, 8, 0, {"a"});
  Tombstone tombstone{key_of(step_100), Generation{0}, 0, 0, {Generation{7}}};
  EXPECT_EQ(store.refs().put_tombstone(tombstone).value(), 1U);
  EXPECT_EQ(store.refs().all_refs(), (std::vector{older, newer}));
  EXPECT_EQ(kind_of(store.refs().put_ref(single)), ErrorKind::conflict);
  // What is told later is added to it, here and across starts.
  tombstone.singles = {Generation{8}};
  EXPECT_EQ(store.refs().put_tombstone(tombstone).value(), 1U);
  store.open();
  EXPECT_EQ(store.refs().all_refs(), std::vector{older});
  EXPECT_EQ(kind_of(store.refs().put_ref(single)), ErrorKind::conflict);
  EXPECT_EQ(kind_of(store.refs().put_ref(newer)), ErrorKind::conflict);
  Tombstone const later{key_of(step_100), Generation{7}, 100, 1};
  EXPECT_EQ(store.refs().put_tombstone(later).value(), 1U);
  EXPECT_EQ(store.refs().tombstones(),
            (std::vector{Tombstone{key_of(step_100), Generation{7}, 100, 1, {Generation{8}}}}));
}

TEST(Tombstone, RefusesMoreSingleGenerationsThanItCanName) {
  TestStore store;
  Tombstone tombstone{key_of(step_100), Generation{0}, 0, 0, {}};
  for (std::size_t i = 1; i <= limits::tombstone_singles_max; ++i) {
    tombstone.singles.push_back(Generation{i});
  }
  EXPECT_EQ(kind_of(store.refs().put_tombstone(tombstone)), std::nullopt);
  Tombstone const another{key_of(step_100), Generation{0}, 0, 0, {Generation{5000}}};
  EXPECT_EQ(kind_of(store.refs().put_tombstone(another)), ErrorKind::exhausted);
  EXPECT_EQ(store.refs().tombstones(), std::vector{tombstone});
}

TEST(Tombstone, TakesThemAtTheNextStartWhereItWasCutOff) {
  TestStore store;
  auto const covered = store.put_shard(step_100, 7, 0, {"a"});
  auto const newer = store.put_shard(step_100, 8, 0, {"a"});
  auto const text = serialize(Tombstone{key_of(step_100), Generation{7}, 100, 1});
  ASSERT_TRUE(store.data().write(tombstone_path(store.data(), key_of(step_100)), bytes_of(text)));
  store.open();
  EXPECT_EQ(store.refs().all_refs(), std::vector{newer});
}

TEST(PutRef, FailsWithTheDiskAndWritesNothing) {
  TestStore store;
  auto const list = store.put_list({"a"});
  store.put_chunk("a");
  ASSERT_TRUE(remove_tree(store.chunk_path(sha256("a")).parent_path()));
  EXPECT_EQ(kind_of(store.refs().put_ref(shard_ref(list))), ErrorKind::internal);
  EXPECT_FALSE(found(store, shard_ref(list)));
  EXPECT_TRUE(names_in(store.data().refs()).empty());
}

}  // namespace
}  // namespace grove
