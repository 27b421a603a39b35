// The parts of a manifest as the protocol speaks of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "format/manifest.h"
#include "format/ref.h"

namespace grove::simulation {

inline Digest digest_of(Manifest const& manifest) {
  return sha256(serialize(manifest));
}

inline std::uint64_t bytes_of(Manifest const& manifest, std::size_t shard) {
  return manifest.shards[shard].end - manifest.shards[shard].begin;
}

inline CheckpointKey key_of(std::string const& identity) {
  return CheckpointKey::parse(identity).value();
}

inline Ref shard_ref(Manifest const& manifest, std::uint32_t shard) {
  return {.key = key_of(manifest.identity),
          .generation = manifest.generation,
          .name = RefName{ShardIndex{shard}},
          .target = manifest.shards[shard].list};
}

inline Ref manifest_ref(Manifest const& manifest) {
  return {.key = key_of(manifest.identity),
          .generation = manifest.generation,
          .name = RefName{},
          .target = digest_of(manifest)};
}

}  // namespace grove::simulation
