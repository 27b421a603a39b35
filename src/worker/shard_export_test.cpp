#include "worker/shard_export.h"

#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "format/safetensors_fixture.h"
#include "store/test_store.h"
#include "worker/spool.h"

namespace grove {
namespace {

// A file of two tensors and an empty one at the end, cut into two shards. The tensors are so small
// that one chunk, in the lists of both shards, holds them all.
class StoredFile {
 public:
  StoredFile() {
    header_ = header_of(
        R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
        R"("b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]},)"
        R"("z":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}})");
    manifest_.identity = step_100;
    manifest_.generation = Generation{5};
    manifest_.kind = CheckpointKind::safetensors;
    manifest_.header_bytes = header_.size();
    manifest_.file_bytes = header_.size() + data_.size();
    manifest_.tensors_count = 3;
    manifest_.redundancy = 2;
    manifest_.header_list = put_list(0, header_);
    auto const list = put_list(header_.size(), data_);
    auto const cut = header_.size() + 8;
    manifest_.shards = {
        {.begin = header_.size(), .end = cut, .tensors_count = 1, .list = list},
        {.begin = cut, .end = manifest_.file_bytes, .tensors_count = 2, .list = list}};
  }

  // Makes the generation visible, with both shards.
  void commit() {
    for (std::uint32_t index = 0; index < 2; ++index) {
      put_ref(RefName{ShardIndex{index}}, manifest_.shards[index].list);
    }
    put_ref(RefName{}, store_.put_manifest(manifest_));
  }

  void put_ref(RefName name, Digest target) {
    Ref const ref{key_of(step_100), manifest_.generation, name, target};
    EXPECT_TRUE(store_.refs().put_ref(ref).value().missing.empty());
  }

  Result<ShardExport> open(std::uint32_t index, std::optional<Generation> generation = {}) {
    ShardWanted const wanted{
        .key = key_of(step_100), .shard = ShardIndex{index}, .generation = generation};
    return ShardExport::open(store_.chunks(), store_.refs(), store_.data().tmp(), wanted);
  }

  TestStore& store() { return store_; }
  Manifest& manifest() { return manifest_; }
  std::string const& data() const { return data_; }

 private:
  Digest put_list(std::uint64_t offset, std::string_view text) {
    ShardList list;
    list.file_offset = offset;
    list.chunks.push_back(store_.put_chunk(text));
    auto const bytes = serialize(list);
    auto const digest = sha256(bytes.span());
    EXPECT_TRUE(store_.refs().put_list(digest, bytes.span()).has_value());
    return digest;
  }

  TestStore store_;
  std::string header_;
  std::string data_ = "aaaabbbbUUUU";
  Manifest manifest_;
};

std::string read_range(ShardExport const& shard, std::uint64_t begin, std::uint64_t end) {
  std::string text;
  while (begin < end) {
    auto const piece = shard.read(begin, end).value();
    EXPECT_FALSE(piece.bytes.empty());
    text += text_of(piece.bytes);
    begin += piece.bytes.size();
  }
  return text;
}

TEST(ShardExport, IsAFileOfItsOwnWithTheTensorsOfTheShard) {
  StoredFile file;
  file.commit();
  auto const first = file.open(0).value();
  auto const text = read_range(first, 0, first.bytes());
  auto const layout = parse_safetensors(reader_of(text), text.size()).value();
  EXPECT_EQ(spans_of(layout), (std::vector<TensorSpan>{{0, 8}}));
  EXPECT_EQ(text.substr(layout.header_bytes), "aaaabbbb");
}

TEST(ShardExport, GivesTheEmptyTensorAtTheEndToTheLastShard) {
  StoredFile file;
  file.commit();
  auto const second = file.open(1).value();
  auto const text = read_range(second, 0, second.bytes());
  auto const layout = parse_safetensors(reader_of(text), text.size()).value();
  EXPECT_EQ(spans_of(layout), (std::vector<TensorSpan>{{0, 4}, {4, 4}}));
  EXPECT_EQ(text.substr(layout.header_bytes), "UUUU");
}

TEST(ShardExport, GivesEveryRangeAsTheWholeHasIt) {
  StoredFile file;
  file.commit();
  auto const shard = file.open(0).value();
  auto const whole = read_range(shard, 0, shard.bytes());
  for (std::uint64_t begin = 0; begin < whole.size(); begin += 7) {
    for (std::uint64_t end = begin + 1; end <= whole.size(); end += 5) {
      ASSERT_EQ(read_range(shard, begin, end), whole.substr(begin, end - begin));
    }
  }
}

TEST(ShardExport, OfAnOpaqueFileIsItsBytes) {
  TestStore store;
  auto const shard = store.put_shard("run1/state.pt", 3, 0, {"one", "two"});
  auto const manifest =
      TestStore::manifest("run1/state.pt", 3, shard.target, store.put_list({}), 6);
  Ref const commit{shard.key, shard.generation, RefName{}, store.put_manifest(manifest)};
  ASSERT_TRUE(store.refs().put_ref(commit).value().missing.empty());
  auto const exported =
      ShardExport::open(store.chunks(), store.refs(), store.data().tmp(),
                        {.key = shard.key, .shard = ShardIndex{0}, .generation = {}});
  ASSERT_TRUE(exported.has_value());
  EXPECT_FALSE(exported.value().is_safetensors());
  EXPECT_EQ(read_range(exported.value(), 0, exported.value().bytes()), "onetwo");
}

TEST(ShardExport, IsNotFoundWithoutAManifest) {
  StoredFile file;
  file.put_ref(RefName{ShardIndex{0}}, file.manifest().shards[0].list);
  EXPECT_EQ(file.open(0).error().kind, ErrorKind::not_found);
}

TEST(ShardExport, IsNotFoundForAShardOrGenerationThatIsElsewhere) {
  StoredFile file;
  file.commit();
  EXPECT_EQ(file.open(2).error().kind, ErrorKind::not_found);
  EXPECT_EQ(file.open(0, Generation{4}).error().kind, ErrorKind::not_found);
  EXPECT_TRUE(file.open(0, Generation{5}).has_value());
}

TEST(ShardExport, IsNeverSilentlyOfAnOlderGeneration) {
  StoredFile file;
  file.commit();
  file.store().put_commit(step_100, 6);
  EXPECT_EQ(file.open(0).error().kind, ErrorKind::not_found);
  EXPECT_TRUE(file.open(0, Generation{5}).has_value());
}

TEST(ShardExport, IsCorruptWhereAChunkIsGone) {
  StoredFile file;
  file.commit();
  auto const shard = file.open(1).value();
  ASSERT_TRUE(file.store().chunks().remove(sha256(file.data())).has_value());
  EXPECT_EQ(shard.read(shard.bytes() - 1, shard.bytes()).error().kind, ErrorKind::corrupt);
}

TEST(ShardExport, IsCorruptWhereItsListDoesNotCoverIt) {
  StoredFile file;
  file.manifest().shards[1].end += 1;
  file.manifest().file_bytes += 1;
  file.commit();
  EXPECT_EQ(file.open(1).error().kind, ErrorKind::corrupt);
}

TEST(Spool, ReadsBackWhatItWasGivenInMemoryAndOnDisk) {
  TestFolder const folder;
  for (auto const size : {Spool::memory_bytes_max, Spool::memory_bytes_max + 1}) {
    Spool spool(folder.path());
    std::string text(size, 'x');
    text.front() = 'f';
    text.back() = 'b';
    ASSERT_TRUE(spool.append(bytes_of(text).first(10)).has_value());
    ASSERT_TRUE(spool.append(bytes_of(text).subspan(10)).has_value());
    EXPECT_EQ(spool.size(), size);
    EXPECT_EQ(names_in(folder.path()).size(), size > Spool::memory_bytes_max ? 1u : 0u);
    std::string read(size, ' ');
    ASSERT_TRUE(spool.read_at(std::as_writable_bytes(std::span(read)), 0).has_value());
    EXPECT_EQ(read, text);
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

}  // namespace
}  // namespace grove
