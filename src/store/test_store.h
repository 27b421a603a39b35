// One worker's store in a folder of its own, and small objects to put into it, for tests.
// Not here: anything for code that is not a test. Threads: one, but for the stores themselves.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "base/test_result.h"
#include "format/chunk.h"
#include "format/test_key.h"
#include "store/chunk_store.h"
#include "store/data_folder.h"
#include "store/ref_store.h"

namespace grove {

// The checkpoint that most of these tests are about.
inline constexpr auto step_100 = "run1/step_100/model.safetensors";

inline std::vector<std::string> names_in(std::filesystem::path const& folder) {
  return list_folder(folder).value();
}

// Changes one byte of a file where it lies, as a failing disk does.
inline void flip_byte(std::filesystem::path const& path, std::streamoff offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(offset);
  char const byte = static_cast<char>(file.get() ^ 1);
  file.seekp(offset);
  file.put(byte);
  GROVE_ASSERT(file.good());
}

inline void make_older(std::filesystem::path const& path, std::chrono::nanoseconds by) {
  auto file = File::open_readonly(path).value();
  auto const stamp = file.stamp().value();
  GROVE_ASSERT(file.set_mode_and_mtime(stamp.mode, stamp.mtime_ns - by.count()).has_value());
}

inline RefName shard_name(std::uint32_t index) {
  return RefName{ShardIndex{index}};
}

class TestStore {
 public:
  TestStore() { open(); }

  // As after a restart. What was put and not synced is gone.
  void open() {
    refs_.reset();
    chunks_.reset();
    data_.reset();
    data_.emplace(DataFolder::open(folder_ / "data", Rank{1}, EmptyFolder::adopt).value());
    chunks_.emplace(*data_, 0);
    refs_ = RefStore::open(*data_, *chunks_).value();
  }

  DataFolder const& data() const { return *data_; }
  ChunkStore& chunks() { return *chunks_; }
  RefStore& refs() { return *refs_; }

  std::filesystem::path chunk_path(Digest const& digest) const {
    return data_->chunks() / digest.hex().substr(0, 2) / digest.hex();
  }
  std::filesystem::path list_path(Digest const& digest) const {
    return data_->shard_lists() / digest.hex();
  }

  // Puts one chunk whose raw bytes are `text`; not synced.
  ChunkRef put_chunk(std::string_view text) {
    auto const encoded = encode_chunk(bytes_of(text), Codec::raw);
    GROVE_ASSERT(chunks_->put(sha256(text), encoded.span()).has_value());
    return {sha256(text), static_cast<std::uint32_t>(text.size())};
  }

  // Puts a list of chunks with these raw bytes, and not the chunks.
  Digest put_list(std::vector<std::string> const& texts) {
    ShardList list;
    for (auto const& text : texts) {
      list.chunks.push_back({sha256(text), static_cast<std::uint32_t>(text.size())});
    }
    auto const bytes = serialize(list);
    auto const digest = sha256(bytes.span());
    GROVE_ASSERT(refs_->put_list(digest, bytes.span()).has_value());
    return digest;
  }

  // A manifest of an opaque file whose only shard is `list`, of `file_bytes` bytes.
  static Manifest manifest(std::string_view identity, std::uint64_t generation, Digest const& list,
                           Digest const& header_list, std::uint64_t file_bytes) {
    Manifest manifest;
    manifest.identity = identity;
    manifest.generation = Generation{generation};
    manifest.file_bytes = file_bytes;
    manifest.redundancy = 2;
    manifest.header_list = header_list;
    manifest.shards.push_back({.begin = 0, .end = file_bytes, .tensors_count = 0, .list = list});
    return manifest;
  }

  Digest put_manifest(Manifest const& manifest) {
    auto const text = serialize(manifest);
    GROVE_ASSERT(refs_->put_manifest(sha256(text), bytes_of(text)).has_value());
    return sha256(text);
  }

  // Puts chunks, list and ref of shard `index`; returns the ref.
  Ref put_shard(std::string_view identity, std::uint64_t generation, std::uint32_t index,
                std::vector<std::string> const& texts) {
    for (auto const& text : texts) put_chunk(text);
    Ref const ref{key_of(identity), Generation{generation}, shard_name(index), put_list(texts)};
    GROVE_ASSERT(refs_->put_ref(ref).value().missing.empty());
    return ref;
  }

  // Commits a generation: the manifest, the (empty) list of its header and the ref.
  Ref put_commit(std::string_view identity, std::uint64_t generation) {
    auto const content =
        manifest(identity, generation, sha256("a list elsewhere"), put_list({}), 1);
    Ref const ref{key_of(identity), Generation{generation}, RefName{}, put_manifest(content)};
    GROVE_ASSERT(refs_->put_ref(ref).value().missing.empty());
    return ref;
  }

 private:
  TestFolder folder_;
  std::optional<DataFolder> data_;
  std::optional<ChunkStore> chunks_;
  std::unique_ptr<RefStore> refs_;
};

}  // namespace grove
