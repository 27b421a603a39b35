#include "transfer/fetch.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "plan/holder_choice.h"
#include "transfer/pull.h"

namespace grove {
namespace {

using Places = std::unordered_map<Digest, std::vector<std::uint64_t>>;

Places places_of(ShardList const& list) {
  Places places;
  auto offset = list.file_offset;
  for (auto const& chunk : list.chunks) {
    places[chunk.digest].push_back(offset);
    offset += chunk.raw_bytes;
  }
  return places;
}

std::vector<Digest> digests_in_order(ShardList const& list) {
  std::vector<Digest> digests;
  std::unordered_map<Digest, bool> seen;
  for (auto const& chunk : list.chunks) {
    if (seen.emplace(chunk.digest, true).second) digests.push_back(chunk.digest);
  }
  return digests;
}

Error nobody_gave(std::vector<Holder> const& holders, std::map<std::size_t, Error> const& causes) {
  std::string text;
  for (auto const& holder : holders) {
    auto const cause = causes.find(holder.worker_index);
    if (cause == causes.end()) continue;
    if (!text.empty()) text += "; ";
    text += cause->second.message;
  }
  return {ErrorKind::unavailable, text.empty() ? "no worker has it" : text};
}

}  // namespace

Awaitable<Result<Fetched>> fetch_list(ShardList const& list, std::vector<Holder>& holders,
                                      PlacedChunkSink sink, FetchOptions options) {
  GROVE_ASSERT(!holders.empty());
  auto const places = places_of(list);
  std::vector<std::size_t> indexes;
  for (auto const& holder : holders) indexes.push_back(holder.worker_index);
  HolderChoice choice(std::move(indexes), digests_in_order(list));

  // Our own disk's failure ends the gather; it must not be taken for the holder's.
  std::mutex sink_mutex;
  std::optional<Error> sink_error;
  std::atomic<std::uint64_t> bytes_written = 0;
  auto const place_chunk = [&](Digest const& digest, std::span<std::byte const>,
                               std::span<std::byte const> raw) -> Result<void> {
    for (auto const offset : places.at(digest)) {
      auto written = sink(raw, offset);
      if (written.has_error()) {
        std::lock_guard const lock(sink_mutex);
        sink_error = written.error();
        return written;
      }
      bytes_written += raw.size();
    }
    return ok();
  };
  auto const on_outcome = [&](PullOutcome const&) { options.on_bytes(bytes_written.exchange(0)); };

  Fetched fetched{.served_by = holders.front().worker_index};
  std::map<std::size_t, Error> causes;
  std::optional<std::size_t> failed_holder;
  while (auto step = choice.next()) {
    if (failed_holder) {
      options.on_fallback(step->holder, *failed_holder, causes[*failed_holder]);
    }
    auto const holder = std::find_if(holders.begin(), holders.end(), [&](Holder const& h) {
      return h.worker_index == step->holder;
    });
    PullOptions const pull_options{.buffers = &options.buffers,
                                   .stop_after = StopAfter::any_failure};
    auto const outcomes = co_await pull_chunks(holder->client, step->chunks, place_chunk,
                                               options.offload, pull_options, on_outcome);
    if (sink_error) co_return *sink_error;
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "the gather was stopped");
    bool has_failed = false;
    for (auto const& outcome : outcomes) {
      if (!outcome.error) {
        choice.got(outcome.chunk);
        fetched.served_by = step->holder;
        continue;
      }
      choice.failed(step->holder, outcome.chunk, outcome.error->kind);
      if (outcome.error->kind == ErrorKind::cancelled) continue;
      causes[step->holder] = *outcome.error;
      has_failed = true;
    }
    if (has_failed) options.on_failure(step->holder);
    failed_holder = step->holder;
  }
  options.on_bytes(bytes_written.exchange(0));
  if (!choice.is_complete()) co_return nobody_gave(holders, causes);
  co_return fetched;
}

Awaitable<Result<ShardList>> fetch_shard_list(Digest digest, std::vector<Holder>& holders,
                                              HolderFailed on_failure) {
  std::map<std::size_t, Error> causes;
  for (auto& holder : holders) {
    auto list = co_await holder.client.get_list(digest);
    if (list.has_value()) co_return std::move(list).value();
    causes[holder.worker_index] = list.error();
    if (list.error().kind != ErrorKind::cancelled) on_failure(holder.worker_index);
  }
  co_return nobody_gave(holders, causes);
}

}  // namespace grove
