// A new file's content straight to the disk, past the page cache.
//
// For what nobody reads soon: a write by way of the cache copies into fresh pages, which can cost
// more than all else that a store costs a CPU, and pushes out what the machine is used for
// (docs/benchmarks.md#one-machine-what-was-tried). Durable only after a sync, like any other write.
// Threads: any; blocks for as long as the disk takes.
#pragma once

#include <cstddef>
#include <span>

#include "base/error.h"
#include "base/file.h"

namespace grove {

// Makes `bytes` the content of `file`, which is new and empty. By way of the cache all the same
// where the file system has no other, and where there is too little to be worth it.
Result<void> write_past_cache(File& file, std::span<std::byte const> bytes);

}  // namespace grove
