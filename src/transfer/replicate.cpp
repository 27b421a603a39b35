#include "transfer/replicate.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/limits.h"
#include "net/parallel.h"
#include "net/task_group.h"

namespace grove {
namespace {

Error stopped() {
  return fail(ErrorKind::cancelled, "the copy was stopped");
}

// What one source is asked for, and what becomes of it.
struct Part {
  std::vector<Digest> chunks;
  std::vector<Digest> refused;
  Error why;  // of the last one
};

Awaitable<void> pull_part(WorkerClient& to, WorkerAddress const& from, Part& part) {
  if (part.chunks.empty()) co_return;
  auto const outcomes = co_await to.pull(from, wanted_whole(part.chunks));
  for (auto const& outcome : outcomes) {
    if (!outcome.error) continue;
    part.refused.push_back(outcome.chunk);
    part.why = *outcome.error;
  }
}

}  // namespace

Awaitable<Result<void>> pull_from_any(WorkerClient& to, std::span<WorkerAddress const> from,
                                      std::vector<Digest> chunks) {
  std::vector<Part> parts(from.size());
  for (std::size_t index = 0; index < chunks.size() && !from.empty(); ++index) {
    parts[index * from.size() / chunks.size()].chunks.push_back(chunks[index]);
  }
  std::size_t left = chunks.size();
  Error why = fail(ErrorKind::unavailable, "no worker that answers holds them");
  // In each round a part goes to the next source, with what the one before did not give.
  for (std::size_t round = 0; round < from.size() && left > 0; ++round) {
    std::vector<Awaitable<void>> pulls;
    for (std::size_t part = 0; part < parts.size(); ++part) {
      pulls.push_back(pull_part(to, from[(part + round) % from.size()], parts[part]));
    }
    co_await run_all(std::move(pulls));
    bool const is_stopped = co_await is_cancelled();
    if (is_stopped) co_return stopped();
    left = 0;
    for (auto& part : parts) {
      if (!part.refused.empty()) why = part.why;
      part.chunks = std::exchange(part.refused, {});
      left += part.chunks.size();
    }
    if (left > 0 && why.kind == ErrorKind::exhausted) break;  // the target's disk: no source helps
  }
  if (left == 0) co_return ok();
  co_return fail(why.kind == ErrorKind::exhausted ? ErrorKind::exhausted : ErrorKind::unavailable,
                 "{} chunks could not be had, of {} workers: {}", left, from.size(), why.message);
}

Awaitable<Result<void>> replicate(WorkerClient& to, std::span<WorkerAddress const> from,
                                  Digest list_digest, ShardList const& list,
                                  ReplicateEvents const& events) {
  std::unordered_set<Digest> seen;
  std::size_t next = 0;
  std::uint64_t unsynced_bytes = 0;
  while (next < list.chunks.size()) {
    std::vector<Digest> window;
    std::unordered_map<Digest, std::uint32_t> sizes;
    std::uint64_t window_bytes = 0;
    for (; next < list.chunks.size() && window_bytes < limits::replicate_window_bytes; ++next) {
      auto const& chunk = list.chunks[next];
      if (!seen.insert(chunk.digest).second) continue;
      window.push_back(chunk.digest);
      sizes.emplace(chunk.digest, chunk.raw_bytes);
      window_bytes += chunk.raw_bytes;
    }
    CO_TRY(auto missing, co_await to.missing(window));
    if (missing.empty()) continue;
    std::uint64_t bytes = 0;
    for (auto const& chunk : missing) bytes += sizes[chunk];
    bool const has_turn = co_await events.wait_for_turn();
    if (!has_turn) co_return stopped();
    auto const begun = std::chrono::steady_clock::now();
    auto const pulled = co_await pull_from_any(to, from, std::move(missing));
    events.moved(pulled.has_value() ? bytes : 0, std::chrono::steady_clock::now() - begun);
    CO_TRY(pulled);
    unsynced_bytes += bytes;
    if (unsynced_bytes >= limits::sync_bytes_max) {
      CO_TRY(co_await to.sync());
      unsynced_bytes = 0;
    }
  }
  CO_TRY(co_await to.sync());
  auto const list_bytes = serialize(list);
  co_return co_await to.put_list(list_digest, list_bytes.span());
}

}  // namespace grove
