// The lines of a job in the reference's exact words (docs/operations.md#log-lines). Pure text.
// Two spaces of indent before a mark; MB is bytes / 1024^2 with one decimal.
// Lines of our own start with two spaces and never with ERROR or Done.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/config.h"
#include "format/key.h"
#include "format/manifest.h"
#include "net/http_client.h"
#include "transfer/chunk_sender.h"

namespace grove::lines {

// "Loaded 290 tensors (942.3 MB) from run1/step_100 — chunking into 4 shards"
std::string loaded_tensors(std::uint64_t tensors_count, std::uint64_t bytes,
                           CheckpointKey const& key, std::uint32_t shards_count);
std::string loaded_file(std::uint64_t bytes, CheckpointKey const& key, std::uint32_t shards_count);

// "  ✓ rank 1 (pi4-1) [round 0]"
std::string sent(Rank rank, std::string_view host, std::uint32_t round);
// "  ↻ rank 3 failed — queuing retry: 2 of 6 in 2 s: pi4-3 (192.168.1.3:5003): connection refused"
std::string retry(Rank rank, std::size_t retry, std::chrono::seconds delay, std::string_view cause);
// "  ✗ rank 3 permanently failed: <cause> after 6 retries; check that its worker runs"
std::string gave_up(Rank rank, std::string_view cause, std::size_t retries);
// "  → rank 1 (pi4-1) stands in for rank 3 (pi4-3)"
std::string stands_in(Rank rank, std::string_view host, Rank failed, std::string_view failed_host);
// "Done: 8/8 sends (2x replicated) → run1/step_100"
std::string store_done(std::size_t sends, std::size_t wanted, std::uint32_t redundancy,
                       CheckpointKey const& key);
// "  sent 312.4 MB for 942.3 MB: 120.0 MB were there already, compression saved 200.1 MB"; what is
// nothing is not named
std::string sent_bytes(SentTotals const& totals, std::uint64_t file_bytes);
// "3/8 sends failed", the text of a store's error
std::string sends_failed(std::size_t failed, std::size_t wanted);

// "  trying replica rank 3 for shard 1 (primary rank 2 failed)"
std::string trying_replica(Rank replica, ShardIndex shard, Rank failed);
// "  ✓ shard 1 — saved → <path>"
std::string shard_saved(ShardIndex shard, std::filesystem::path const& path);
// "  ✓ shard 1 — from rank 2 (pi4-2)", when no shard file is kept
std::string shard_served(ShardIndex shard, Rank rank, std::string_view host);
// "  ✗ shard 1 — cannot be had: <cause>"
std::string shard_failed(ShardIndex shard, std::string_view cause);
// "  ✗ rank 2 (pi4-2) has damaged chunks: another copy is taken, and theirs mended"
std::string damage_met(Rank rank, std::string_view host);
// "Merging 4 shards → <path>"
std::string merging(std::size_t shards_count, std::filesystem::path const& path);
// "Done: saved → <path>"
std::string gather_done(std::filesystem::path const& path);
// "1/4 shards failed — skipping merge", the text of a gather's error
std::string shards_failed(std::size_t failed, std::size_t wanted);

// "  restoring run1/step_100/model.safetensors → <path>"
std::string drill_begins(CheckpointKey const& key, std::filesystem::path const& path);
// "Done: restored run1/step_100 (942.3 MB) in 41.3 s, 22.8 MB/s: the exact bytes"
std::string drill_done(CheckpointKey const& key, std::uint64_t bytes,
                       std::chrono::duration<double> time);

// "  rank 2 has moved to 192.168.1.9:5002 (mDNS): pi4-2 (192.168.1.5:5002): connection refused"
std::string worker_moved(Rank rank, std::string_view cause, std::string_view ip,
                         std::uint16_t port);
// "  rank 2 (pi4-2) is announced by 2 workers; stop all but one, or correct its ip in config.yaml"
std::string worker_ambiguous(Rank rank, std::string_view host, std::size_t count);

// "ERROR: <message>"
std::string error(std::string_view message);
// "  … 120.0 of 942.3 MB, 24.1 MB/s, 34 s left"
std::string progress(std::uint64_t done, std::uint64_t total, double bytes_per_second);
// "  … waiting", behind another job of the same checkpoint
std::string still_waiting();
// "942.3"
std::string megabytes(std::uint64_t bytes);

}  // namespace grove::lines
