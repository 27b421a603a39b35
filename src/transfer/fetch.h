// All chunks of one list, from whichever holders give them, each proven, into a sink: what a gather
// does for every shard. Falls back from holder to holder as plan/holder_choice.h decides.
// Threads: the job's executor; the sink runs on pool threads, several calls at once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "transfer/worker_client.h"

namespace grove {

struct Holder {
  std::size_t worker_index = 0;
  WorkerClient client;
};

// Takes one proven chunk at one of its places in the file.
using PlacedChunkSink =
    std::function<Result<void>(std::span<std::byte const> raw, std::uint64_t file_offset)>;

// A holder did not give what it was asked for. Called on the job's executor.
using HolderFailed = std::function<void(std::size_t worker_index)>;

struct FetchOptions {
  Offload& offload;
  Semaphore& buffers;
  HolderFailed on_failure;
  // Another holder is tried after `failed` gave no more. Called on the job's executor.
  std::function<void(std::size_t next, std::size_t failed, Error const& cause)> on_fallback;
  std::function<void(std::uint64_t bytes)> on_bytes;  // written so far, in steps
};

struct Fetched {
  std::size_t served_by = 0;  // worker index of the holder that gave the last of it
};

// Fails: what the sink said, at once; else `unavailable`, with what each holder said last.
// An empty list asks nobody and is served by the first holder. `holders` must not be empty.
Awaitable<Result<Fetched>> fetch_list(ShardList const& list, std::vector<Holder>& holders,
                                      PlacedChunkSink sink, FetchOptions options);

// The shard list itself, proven, from the first holder that gives it.
Awaitable<Result<ShardList>> fetch_shard_list(Digest digest, std::vector<Holder>& holders,
                                              HolderFailed on_failure);

}  // namespace grove
