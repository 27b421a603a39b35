#include "format/manifest.h"

#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "format/canonical_json.h"
#include "format/little_endian.h"

namespace grove {
namespace {

constexpr std::array<char, 8> list_magic{'g', 'r', 'v', '-', 'l', 'i', 's', 't'};
constexpr std::uint32_t list_version = 1;
constexpr std::size_t version_offset = 8;
constexpr std::size_t count_offset = 12;
constexpr std::size_t file_offset_offset = 16;
constexpr std::size_t list_header_bytes = 24;
constexpr std::size_t digest_bytes = sizeof(Digest::bytes);
constexpr std::size_t chunk_ref_bytes = digest_bytes + sizeof(std::uint32_t);

constexpr std::uint32_t manifest_version = 1;

std::string_view to_text(CheckpointKind kind) {
  return kind == CheckpointKind::safetensors ? "safetensors" : "opaque";
}

Result<CheckpointKind> parse_kind(std::string_view text) {
  if (text == "safetensors") return CheckpointKind::safetensors;
  if (text == "opaque") return CheckpointKind::opaque;
  return fail(ErrorKind::invalid, "manifest: its kind is neither \"safetensors\" nor \"opaque\"");
}

Result<ShardEntry> read_shard(CanonicalReader& reader) {
  ShardEntry shard;
  TRY(reader.expect("{\"begin\":"));
  TRY(shard.begin, reader.unsigned_integer());
  TRY(reader.expect(",\"end\":"));
  TRY(shard.end, reader.unsigned_integer());
  TRY(reader.expect(",\"list\":"));
  TRY(shard.list, reader.digest());
  TRY(reader.expect(",\"tensors_count\":"));
  TRY(shard.tensors_count, reader.unsigned_integer());
  TRY(reader.expect("}"));
  return shard;
}

Result<std::vector<ShardEntry>> read_shards(CanonicalReader& reader) {
  std::vector<ShardEntry> shards;
  do {
    if (shards.size() == limits::shards_count_max) {
      return fail(ErrorKind::invalid, "manifest: more than {} shards", limits::shards_count_max);
    }
    TRY(reader.expect(shards.empty() ? "[" : ","));
    TRY(auto const shard, read_shard(reader));
    shards.push_back(shard);
  } while (!reader.next_is("]"));
  TRY(reader.expect("]"));
  return shards;
}

Result<Manifest> read_manifest(CanonicalReader& reader) {
  Manifest manifest;
  TRY(reader.expect("{\"file_bytes\":"));
  TRY(manifest.file_bytes, reader.unsigned_integer());
  TRY(reader.expect(",\"generation\":"));
  TRY(manifest.generation.value, reader.unsigned_integer());
  TRY(reader.expect(",\"header_bytes\":"));
  TRY(manifest.header_bytes, reader.unsigned_integer());
  TRY(reader.expect(",\"header_list\":"));
  TRY(manifest.header_list, reader.digest());
  TRY(reader.expect(",\"identity\":"));
  TRY(manifest.identity, reader.string());
  TRY(reader.expect(",\"kind\":"));
  TRY(auto const kind, reader.string());
  TRY(manifest.kind, parse_kind(kind));
  TRY(reader.expect(",\"mode\":"));
  TRY(manifest.mode, reader.unsigned_integer_32());
  TRY(reader.expect(",\"mtime_ns\":"));
  TRY(manifest.mtime_ns, reader.integer());
  TRY(reader.expect(",\"redundancy\":"));
  TRY(manifest.redundancy, reader.unsigned_integer_32());
  TRY(reader.expect(",\"sha256\":"));
  TRY(manifest.sha256, reader.digest());
  TRY(reader.expect(",\"shards\":"));
  TRY(manifest.shards, read_shards(reader));
  TRY(reader.expect(",\"tensors_count\":"));
  TRY(manifest.tensors_count, reader.unsigned_integer());
  TRY(reader.expect(fmt::format(",\"version\":{}}}", manifest_version)));
  TRY(reader.end());
  return manifest;
}

Result<void> check_ranges(Manifest const& manifest) {
  if (manifest.kind == CheckpointKind::opaque && manifest.header_bytes != 0) {
    return fail(ErrorKind::invalid, "manifest: an opaque file with a header of {} bytes",
                manifest.header_bytes);
  }
  std::uint64_t offset = manifest.header_bytes;
  for (std::size_t index = 0; index < manifest.shards.size(); ++index) {
    ShardEntry const& shard = manifest.shards[index];
    if (shard.begin != offset || shard.end < shard.begin) {
      return fail(ErrorKind::invalid, "manifest: shard {} is [{},{}), it must begin at {}", index,
                  shard.begin, shard.end, offset);
    }
    offset = shard.end;
  }
  if (offset != manifest.file_bytes) {
    return fail(ErrorKind::invalid, "manifest: its shards end at {}, the file at {}", offset,
                manifest.file_bytes);
  }
  return ok();
}

}  // namespace

std::uint64_t ShardList::bytes() const {
  std::uint64_t sum = 0;
  for (ChunkRef const& chunk : chunks) sum += chunk.raw_bytes;
  return sum;
}

std::uint64_t shard_list_bytes(std::size_t chunks_count) {
  return list_header_bytes + std::uint64_t{chunks_count} * chunk_ref_bytes;
}

Buffer serialize(ShardList const& list) {
  GROVE_ASSERT(list.chunks.size() <=
               (limits::list_bytes_max - list_header_bytes) / chunk_ref_bytes);
  Buffer buffer(shard_list_bytes(list.chunks.size()));
  auto const bytes = buffer.span();
  std::memcpy(bytes.data(), list_magic.data(), list_magic.size());
  store_little_endian(bytes, version_offset, list_version);
  store_little_endian(bytes, count_offset, static_cast<std::uint32_t>(list.chunks.size()));
  store_little_endian(bytes, file_offset_offset, list.file_offset);
  std::size_t offset = list_header_bytes;
  for (ChunkRef const& chunk : list.chunks) {
    std::memcpy(bytes.data() + offset, chunk.digest.bytes.data(), digest_bytes);
    store_little_endian(bytes, offset + digest_bytes, chunk.raw_bytes);
    offset += chunk_ref_bytes;
  }
  return buffer;
}

Result<ShardList> parse_shard_list(std::span<std::byte const> bytes) {
  if (bytes.size() < list_header_bytes || bytes.size() > limits::list_bytes_max) {
    return fail(ErrorKind::invalid, "shard list: {} bytes long, not within {} and {}", bytes.size(),
                list_header_bytes, limits::list_bytes_max);
  }
  if (std::memcmp(bytes.data(), list_magic.data(), list_magic.size()) != 0) {
    return fail(ErrorKind::invalid, "not a shard list: it does not begin with \"grv-list\"");
  }
  auto const version = load_little_endian<std::uint32_t>(bytes, version_offset);
  if (version != list_version) {
    return fail(ErrorKind::invalid,
                "shard list: format version {}, this grove knows {}; update the older machine",
                version, list_version);
  }
  auto const count = load_little_endian<std::uint32_t>(bytes, count_offset);
  if (bytes.size() != shard_list_bytes(count)) {
    return fail(ErrorKind::invalid, "shard list: {} bytes long, which {} chunks do not fill",
                bytes.size(), count);
  }
  ShardList list{.file_offset = load_little_endian<std::uint64_t>(bytes, file_offset_offset),
                 .chunks = std::vector<ChunkRef>(count)};
  std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - list.file_offset;
  for (std::size_t index = 0; index < count; ++index) {
    auto const entry = bytes.subspan(list_header_bytes + index * chunk_ref_bytes, chunk_ref_bytes);
    ChunkRef& chunk = list.chunks[index];
    std::memcpy(chunk.digest.bytes.data(), entry.data(), digest_bytes);
    chunk.raw_bytes = load_little_endian<std::uint32_t>(entry, digest_bytes);
    if (chunk.raw_bytes == 0 || chunk.raw_bytes > limits::chunk_bytes_max) {
      return fail(ErrorKind::invalid, "shard list: chunk {} has {} bytes, not within 1 and {}",
                  index, chunk.raw_bytes, limits::chunk_bytes_max);
    }
    if (chunk.raw_bytes > room) {
      return fail(ErrorKind::invalid, "shard list: chunk {} ends beyond 2^64 bytes", index);
    }
    room -= chunk.raw_bytes;
  }
  return list;
}

bool Manifest::same_content(Manifest const& other) const {
  return kind == other.kind && file_bytes == other.file_bytes &&
         header_bytes == other.header_bytes && tensors_count == other.tensors_count &&
         sha256 == other.sha256 && header_list == other.header_list && shards == other.shards;
}

std::string serialize(Manifest const& manifest) {
  std::string json = fmt::format(
      R"({{"file_bytes":{},"generation":{},"header_bytes":{},"header_list":"{}","identity":{})",
      manifest.file_bytes, manifest.generation.value, manifest.header_bytes,
      manifest.header_list.hex(), canonical_string(manifest.identity));
  auto const out = std::back_inserter(json);
  fmt::format_to(out, R"(,"kind":"{}","mode":{},"mtime_ns":{},"redundancy":{},"sha256":"{}")",
                 to_text(manifest.kind), manifest.mode, manifest.mtime_ns, manifest.redundancy,
                 manifest.sha256.hex());
  json += ",\"shards\":[";
  for (ShardEntry const& shard : manifest.shards) {
    if (&shard != &manifest.shards.front()) json += ',';
    fmt::format_to(out, R"({{"begin":{},"end":{},"list":"{}","tensors_count":{}}})", shard.begin,
                   shard.end, shard.list.hex(), shard.tensors_count);
  }
  fmt::format_to(out, R"(],"tensors_count":{},"version":{}}})", manifest.tensors_count,
                 manifest_version);
  return json;
}

Result<Manifest> parse_manifest(std::span<std::byte const> bytes) {
  if (bytes.size() > limits::manifest_bytes_max) {
    return fail(ErrorKind::invalid, "manifest: {} bytes long, at most {} are possible",
                bytes.size(), limits::manifest_bytes_max);
  }
  CanonicalReader reader(bytes, "manifest");
  TRY(reader.check_version(manifest_version));
  TRY(auto manifest, read_manifest(reader));
  TRY(CheckpointKey::parse(manifest.identity));
  TRY(check_ranges(manifest));
  return manifest;
}

}  // namespace grove
