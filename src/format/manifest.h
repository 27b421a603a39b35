// Shard lists and the manifest of one stored file; both immutable and named by the SHA-256 of their
// bytes. Format: docs/formats.md#shard-list and #manifest.
//
// Shard list, binary, little-endian: magic "grv-list", u32 version 1, u32 count, u64 file offset of
// the first chunk, then per chunk 32 bytes digest and u32 raw length. The chunks lie one behind the
// other in the file. A list covers at least its shard's range; its first and last chunk may reach
// beyond it, since chunks depend on the tensor sequence alone and never on where shards are cut.
//
// Manifest, canonical JSON: keys sorted, no white space, UTF-8, integers only. One generation of
// one identity; its presence on a worker under refs/ is the commit.
// Threads: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/key.h"

namespace grove {

// Of one shard among a checkpoint's; counts from 0.
struct ShardIndex {
  std::uint32_t value = 0;
  friend auto operator<=>(ShardIndex const&, ShardIndex const&) = default;
};

// The number of one successful store of an identity; milliseconds of the wall clock, or more.
struct Generation {
  std::uint64_t value = 0;
  friend auto operator<=>(Generation const&, Generation const&) = default;
};

struct ChunkRef {
  Digest digest{};
  std::uint32_t raw_bytes = 0;
  friend bool operator==(ChunkRef const&, ChunkRef const&) = default;
};

struct ShardList {
  std::uint64_t file_offset = 0;  // of the first chunk
  std::vector<ChunkRef> chunks{};
  friend bool operator==(ShardList const&, ShardList const&) = default;

  std::uint64_t bytes() const;  // sum of the chunks' raw lengths
};

// What the list of so many chunks takes.
std::uint64_t shard_list_bytes(std::size_t chunks_count);
Buffer serialize(ShardList const& list);
// Fails: invalid (magic, version, count against length, zero or over-long chunks, overflow).
Result<ShardList> parse_shard_list(std::span<std::byte const> bytes);

enum class CheckpointKind { safetensors, opaque };

struct ShardEntry {
  std::uint64_t begin = 0;  // file offsets, half-open
  std::uint64_t end = 0;
  std::uint64_t tensors_count = 0;
  Digest list{};
  friend bool operator==(ShardEntry const&, ShardEntry const&) = default;
};

struct Manifest {
  std::string identity;
  Generation generation;
  CheckpointKind kind = CheckpointKind::opaque;
  std::uint64_t file_bytes = 0;
  std::uint64_t header_bytes = 0;  // 0 for opaque; else the shards begin here
  std::uint64_t tensors_count = 0;
  std::int64_t mtime_ns = 0;
  std::uint32_t mode = 0;
  std::uint32_t redundancy = 0;  // copies wanted of every shard
  Digest sha256{};               // of the whole file
  Digest header_list{};          // the shard list of the header's bytes; empty list for opaque
  std::vector<ShardEntry> shards;

  friend bool operator==(Manifest const&, Manifest const&) = default;

  // True where both describe the same bytes, cut the same way, whenever they were stored.
  bool same_content(Manifest const& other) const;
};

std::string serialize(Manifest const& manifest);
// Fails: invalid: not canonical (it must serialize to the same bytes), unknown or missing keys,
// a hostile identity, ranges that do not follow one another from header_bytes to file_bytes.
Result<Manifest> parse_manifest(std::span<std::byte const> bytes);

}  // namespace grove
