#include "coordinator/delta_source.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/file.h"
#include "base/limits.h"
#include "coordinator/locate.h"
#include "format/little_endian.h"
#include "net/task_group.h"
#include "plan/delta_base.h"
#include "plan/earlier_checkpoint.h"

namespace grove {
namespace {

struct EarlierFile {
  File file;
  CacheUse cache = CacheUse::keep;
  SafetensorsLayout layout;
};

// Blocking. The file that `manifest` tells of, as long as it is that one.
Result<EarlierFile> open_earlier(Config const& config, Manifest const& manifest) {
  TRY(auto file, File::open_beneath(config.ckpt_root, manifest.identity));
  TRY(auto const stamp, file.stamp());
  if (stamp.size != manifest.file_bytes || stamp.mtime_ns != manifest.mtime_ns) {
    return fail(ErrorKind::conflict, "the file has changed since it was stored");
  }
  // The header that was stored is not too large; whose size and time lie may have any.
  std::array<std::byte, sizeof(std::uint64_t)> length;
  TRY(file.read_exactly_at(length, 0));
  if (length.size() + load_little_endian<std::uint64_t>(length, 0) != manifest.header_bytes) {
    return fail(ErrorKind::conflict, "its header is not the one that was stored");
  }
  TRY(auto layout, parse_safetensors(reader_of(file), stamp.size));
  return EarlierFile{
      .file = std::move(file), .cache = cache_use_for(stamp.size), .layout = std::move(layout)};
}

// One look for the bases of one store.
class DeltaSearch {
 public:
  DeltaSearch(Services const& services, Config const& config, CheckpointKey key,
              std::span<Member const> members, SafetensorsLayout const& layout)
      : services_(services),
        config_(config),
        key_(std::move(key)),
        members_(members.begin(), members.end()),
        layout_(layout),
        tasks_(services.executor) {}

  Awaitable<std::unique_ptr<DeltaBases>> run(std::string prefix,
                                             std::chrono::milliseconds patience) {
    tasks_.spawn("look for what to make deltas against", look(std::move(prefix)));
    tasks_.spawn("end of that look", end_after(patience));
    co_await tasks_.wait();
    co_return std::move(found_);
  }

 private:
  Awaitable<void> look(std::string prefix) {
    auto const inventories = co_await manifests_under(services_, config_, members_, prefix);
    keep_only(inventories);
    auto const candidates = choose_earlier(key_, inventories, limits::earlier_checkpoints_max);
    for (auto const& candidate : candidates) {
      auto bases = co_await bases_in(candidate);
      bool const stopped = co_await is_cancelled();
      if (stopped) co_return;
      if (bases) {
        spdlog::info("{}: deltas to {}", key_.identity(), candidate.key.identity());
        found_ = std::make_unique<DeltaBases>(std::move(bases).value());
        break;
      }
      spdlog::debug("{}: no deltas to {}: {}", key_.identity(), candidate.key.identity(),
                    bases.error().message);
    }
    tasks_.cancel();
  }

  // Who has not answered is not asked again.
  void keep_only(std::vector<WorkerInventory> const& inventories) {
    std::erase_if(members_, [&](Member const& member) {
      return std::none_of(inventories.begin(), inventories.end(), [&](auto const& inventory) {
        return inventory.worker_index == member.worker_index;
      });
    });
  }

  Awaitable<void> end_after(std::chrono::milliseconds patience) {
    std::ignore = co_await sleep_for(patience);  // or the look has ended
    tasks_.cancel();
  }

  Awaitable<Result<DeltaBases>> bases_in(EarlierCheckpoint const& candidate) {
    CO_TRY(auto const manifest, co_await fetch_manifest(services_, config_, candidate.generation));
    if (manifest.identity != candidate.key.identity()) {
      co_return fail(ErrorKind::corrupt, "its manifest is of {}", manifest.identity);
    }
    if (manifest.kind != CheckpointKind::safetensors ||
        manifest.header_bytes > limits::delta_header_bytes_max) {
      co_return fail(ErrorKind::exhausted, "its header is too large");
    }
    CO_TRY(auto earlier,
           co_await services_.offload.run([&] { return open_earlier(config_, manifest); }));
    auto const lists = co_await fetch_lists(candidate, manifest);
    co_return co_await services_.offload.run([&]() -> Result<DeltaBases> {
      DeltaPairs pairs(layout_, earlier.layout, lists);
      if (pairs.is_empty()) return fail(ErrorKind::not_found, "it has no tensors in common");
      return DeltaBases(std::move(earlier.file), std::move(pairs), earlier.cache);
    });
  }

  // As many as can be had, and as limits::delta_chunks_max allows.
  Awaitable<std::vector<ShardList>> fetch_lists(EarlierCheckpoint const& candidate,
                                                Manifest const& manifest) {
    auto const inventories = co_await inventories_of(services_, config_, members_, candidate.key);
    auto const plan = plan_gather(manifest, inventories, config_.workers.size());
    std::vector<ShardList> lists;
    std::size_t chunks_count = 0;
    for (auto const& shard : plan.shards) {
      auto list = co_await fetch_list(shard, manifest.shards[shard.shard.value].list,
                                      limits::delta_chunks_max - chunks_count);
      if (!list) continue;
      chunks_count += list->chunks.size();
      lists.push_back(std::move(*list));
    }
    co_return lists;
  }

  Awaitable<std::optional<ShardList>> fetch_list(ShardSources const& shard, Digest list,
                                                 std::size_t chunks_max) {
    auto const bytes_max = std::min(shard_list_bytes(chunks_max), limits::list_bytes_max);
    for (auto const holder : shard.holders) {
      WorkerClient worker(services_.http, address_of(config_.workers[holder]));
      auto fetched = co_await worker.get_list(list, bytes_max);
      if (fetched) co_return std::move(fetched).value();
    }
    co_return std::nullopt;
  }

  Services const& services_;
  Config const& config_;
  CheckpointKey key_;
  std::vector<Member> members_;
  SafetensorsLayout const& layout_;
  TaskGroup tasks_;
  std::unique_ptr<DeltaBases> found_;
};

}  // namespace

Awaitable<std::unique_ptr<DeltaBases>> find_delta_bases(Services const& services,
                                                        Config const& config, CheckpointKey key,
                                                        std::span<Member const> members,
                                                        SafetensorsLayout const& layout,
                                                        std::chrono::milliseconds patience) {
  if (config.delta == Switch::off || layout.header_bytes > limits::delta_header_bytes_max) {
    co_return nullptr;
  }
  auto prefix = run_prefix_of(key);
  if (!prefix) co_return nullptr;
  DeltaSearch search(services, config, std::move(key), members, layout);
  co_return co_await search.run(std::move(*prefix), patience);
}

}  // namespace grove
