#include "coordinator/job_lines.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/limits.h"
#include "net/url.h"

namespace grove::lines {

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / static_cast<double>(limits::mib));
}

std::string loaded_tensors(std::uint64_t tensors_count, std::uint64_t bytes,
                           CheckpointKey const& key, std::uint32_t shards_count) {
  return fmt::format("Loaded {} tensors ({} MB) from {} — chunking into {} shards", tensors_count,
                     megabytes(bytes), key.display(), shards_count);
}

std::string loaded_file(std::uint64_t bytes, CheckpointKey const& key, std::uint32_t shards_count) {
  return fmt::format("Loaded 1 file ({} MB) from {} — chunking into {} shards", megabytes(bytes),
                     key.display(), shards_count);
}

std::string sent(Rank rank, std::string_view host, std::uint32_t round) {
  return fmt::format("  ✓ rank {} ({}) [round {}]", rank.value, host, round);
}

std::string retry(Rank rank, std::size_t retry, std::chrono::seconds delay,
                  std::string_view cause) {
  return fmt::format("  ↻ rank {} failed — queuing retry: {} of {} in {} s: {}", rank.value, retry,
                     limits::retry_delays.size(), delay.count(), cause);
}

std::string stands_in(Rank rank, std::string_view host, Rank failed, std::string_view failed_host) {
  return fmt::format("  → rank {} ({}) stands in for rank {} ({})", rank.value, host, failed.value,
                     failed_host);
}

std::string gave_up(Rank rank, std::string_view cause, std::size_t retries) {
  if (retries == 0) return fmt::format("  ✗ rank {} permanently failed: {}", rank.value, cause);
  return fmt::format(
      "  ✗ rank {} permanently failed: {} after {} retries; check that its worker runs", rank.value,
      cause, retries);
}

std::string store_done(std::size_t sends, std::size_t wanted, std::uint32_t redundancy,
                       CheckpointKey const& key) {
  return fmt::format("Done: {}/{} sends ({}x replicated) → {}", sends, wanted, redundancy,
                     key.display());
}

std::string sent_bytes(SentTotals const& totals, std::uint64_t file_bytes) {
  auto line =
      fmt::format("  sent {} MB for {} MB", megabytes(totals.sent_bytes), megabytes(file_bytes));
  char const* separator = ": ";
  auto const add = [&](std::string_view words, std::uint64_t bytes) {
    if (bytes < limits::mib / 20) return;  // would read 0.0
    line += separator + fmt::format(fmt::runtime(words), megabytes(bytes));
    separator = ", ";
  };
  add("{} MB were there already", totals.present_bytes);
  add("compression saved {} MB", totals.encoding_saved_bytes);
  add("deltas saved {} MB", totals.deltas_saved_bytes);
  return line;
}

std::string sends_failed(std::size_t failed, std::size_t wanted) {
  return fmt::format("{}/{} sends failed", failed, wanted);
}

std::string trying_replica(Rank replica, ShardIndex shard, Rank failed) {
  return fmt::format("  trying replica rank {} for shard {} (primary rank {} failed)",
                     replica.value, shard.value, failed.value);
}

std::string shard_saved(ShardIndex shard, std::filesystem::path const& path) {
  return fmt::format("  ✓ shard {} — saved → {}", shard.value, path.string());
}

std::string shard_served(ShardIndex shard, Rank rank, std::string_view host) {
  return fmt::format("  ✓ shard {} — from rank {} ({})", shard.value, rank.value, host);
}

std::string shard_failed(ShardIndex shard, std::string_view cause) {
  return fmt::format("  ✗ shard {} — cannot be had: {}", shard.value, cause);
}

std::string damage_met(Rank rank, std::string_view host) {
  return fmt::format(
      "  ✗ rank {} ({}) has damaged chunks: another copy is taken, and theirs mended", rank.value,
      host);
}

std::string merging(std::size_t shards_count, std::filesystem::path const& path) {
  return fmt::format("Merging {} shards → {}", shards_count, path.string());
}

std::string gather_done(std::filesystem::path const& path) {
  return fmt::format("Done: saved → {}", path.string());
}

std::string shards_failed(std::size_t failed, std::size_t wanted) {
  return fmt::format("{}/{} shards failed — skipping merge", failed, wanted);
}

std::string drill_begins(CheckpointKey const& key, std::filesystem::path const& path) {
  return fmt::format("  restoring {} → {}", key.identity(), path.string());
}

std::string drill_done(CheckpointKey const& key, std::uint64_t bytes,
                       std::chrono::duration<double> time) {
  auto const seconds = std::max(time.count(), 0.001);
  auto const rate = static_cast<double>(bytes) / static_cast<double>(limits::mib) / seconds;
  return fmt::format("Done: restored {} ({} MB) in {:.1f} s, {:.1f} MB/s: the exact bytes",
                     key.display(), megabytes(bytes), seconds, rate);
}

std::string error(std::string_view message) {
  return fmt::format("ERROR: {}", message);
}

std::string progress(std::uint64_t done, std::uint64_t total, double bytes_per_second) {
  done = std::min(done, total);  // a chunk on the border of two shards counts for both
  auto const rate = bytes_per_second / static_cast<double>(limits::mib);
  if (bytes_per_second < 1 || done >= total) {
    return fmt::format("  … {} of {} MB", megabytes(done), megabytes(total));
  }
  auto const left = std::ceil(static_cast<double>(total - done) / bytes_per_second);
  return fmt::format("  … {} of {} MB, {:.1f} MB/s, {:.0f} s left", megabytes(done),
                     megabytes(total), rate, left);
}

std::string worker_moved(Rank rank, std::string_view cause, std::string_view ip,
                         std::uint16_t port) {
  return fmt::format("  rank {} has moved to {} (mDNS): {}", rank.value, join_host_port(ip, port),
                     cause);
}

std::string worker_ambiguous(Rank rank, std::string_view host, std::size_t count) {
  return fmt::format(
      "  rank {} ({}) is announced by {} workers; stop all but one, or correct its ip in "
      "config.yaml",
      rank.value, host, count);
}

std::string still_waiting() {
  return "  … waiting";
}

}  // namespace grove::lines
