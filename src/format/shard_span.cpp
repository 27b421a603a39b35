#include "format/shard_span.h"

#include <cstddef>
#include <vector>

namespace grove {
namespace {

std::size_t owner_of_the_end(std::vector<ShardEntry> const& shards) {
  for (std::size_t index = shards.size(); index-- > 0;) {
    if (shards[index].begin < shards[index].end) return index;
  }
  return 0;
}

}  // namespace

ShardSpan shard_span(Manifest const& manifest, ShardIndex shard) {
  GROVE_ASSERT(shard.value < manifest.shards.size());
  ShardEntry const& entry = manifest.shards[shard.value];
  return {.begin = entry.begin - manifest.header_bytes,
          .end = entry.end - manifest.header_bytes,
          .is_last_nonempty = owner_of_the_end(manifest.shards) == shard.value};
}

}  // namespace grove
