// Which bytes of a stored file one shard's export holds: what the manifest says, in the terms of
// write_shard_header (format/safetensors.h). Threads: pure.
#pragma once

#include "format/manifest.h"
#include "format/safetensors.h"

namespace grove {

// The range of `shard` relative to the header's end. The zero-size tensors at the very end of the
// data belong to the last shard that is not empty; where all are, to the first.
// `shard` must be one of the manifest's.
ShardSpan shard_span(Manifest const& manifest, ShardIndex shard);

}  // namespace grove
