#include "transfer/push.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "base/limits.h"
#include "net/parallel.h"

namespace grove {
namespace {

Error cancelled() {
  return fail(ErrorKind::cancelled, "the store was stopped");
}

}  // namespace

Awaitable<Result<void>> with_retries(std::function<Awaitable<Result<void>>()> attempt,
                                     std::function<void(RetryNotice const&)> on_retry,
                                     std::span<std::chrono::seconds const> delays) {
  for (std::size_t retry = 1;; ++retry) {
    Result<void> result = co_await attempt();
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return cancelled();
    if (result.has_value() || !is_retryable(result.error().kind) || retry > delays.size()) {
      co_return result;
    }
    auto const delay = delays[retry - 1];
    on_retry(RetryNotice{retry, delay, std::move(result).error()});
    bool const rested = co_await sleep_for(delay);
    if (!rested) co_return cancelled();
  }
}

ShardPush::ShardPush(asio::any_io_executor executor, ChunkSource& source, ChunkSender& sender,
                     std::vector<ChunkSlice> slices, std::vector<WorkerClient> copies,
                     Semaphore& buffers, PushEvents events, CommitCopy commit)
    : source_(source),
      sender_(sender),
      slices_(std::move(slices)),
      windows_(cut_windows(slices_)),
      copies_(std::move(copies)),
      progress_(copies_.size()),
      buffers_(buffers),
      events_(std::move(events)),
      commit_(std::move(commit)),
      changed_(executor) {
  chunks_.reserve(slices_.size());
}

Awaitable<Result<void>> ShardPush::run_copy(std::size_t copy) {
  if (windows_.empty()) finish_list();
  auto result = co_await with_retries(
      [this, copy]() -> Awaitable<Result<void>> {
        auto outcome = co_await attempt(copy);
        ahead_.reset();
        // A copy that is not at work must not be waited for.
        if (outcome.has_error()) progress_[copy].phase = CopyPhase::waiting;
        changed_.notify_all();
        co_return outcome;
      },
      [this, copy](RetryNotice const& notice) { events_.retry(copy, notice); });
  progress_[copy].phase = result.has_value() ? CopyPhase::done : CopyPhase::failed;
  changed_.notify_all();
  co_return result;
}

Awaitable<Result<void>> ShardPush::attempt(std::size_t self) {
  progress_[self] = {.phase = CopyPhase::running, .windows_acked = 0};
  changed_.notify_all();
  auto& worker = copies_[self];
  worker.move_to(events_.locate(self));
  CO_TRY(co_await worker.health());
  std::uint64_t unsynced_bytes = 0;
  while (progress_[self].windows_acked < windows_.size()) {
    auto const source = choose_window_source(progress_, self);
    if (source.action == WindowAction::wait) {
      std::ignore = co_await changed_.wait();  // the decision is made anew either way
      bool const stopped = co_await is_cancelled();
      if (stopped) co_return cancelled();
      continue;
    }
    auto const index = progress_[self].windows_acked;
    auto const& window = windows_[index];
    if (unsynced_bytes + window.bytes > limits::sync_bytes_max) {
      CO_TRY(co_await sync(self));
      unsynced_bytes = 0;
    }
    CO_TRY(co_await move_window(self, source, index));
    unsynced_bytes += window.bytes;
    ++progress_[self].windows_acked;
    changed_.notify_all();
  }
  CO_TRY(co_await sync(self));
  GROVE_ASSERT(list_.has_value());
  CO_TRY(co_await worker.put_list(list_digest_, list_bytes_.span()));
  if (!commit_) co_return ok();
  CO_TRY(auto lacking, co_await commit_(self, worker, list_digest_));
  if (lacking.empty()) co_return ok();
  CO_TRY(co_await push_missing(self, std::move(lacking)));
  CO_TRY(lacking, co_await commit_(self, worker, list_digest_));
  if (lacking.empty()) co_return ok();
  co_return fail(ErrorKind::internal, "{}: lost {} chunks that it had acknowledged; check its disk",
                 worker.address().endpoint.text(), lacking.size());
}

Awaitable<Result<void>> ShardPush::move_window(std::size_t self, WindowSource from,
                                               std::size_t index) {
  if (from.action == WindowAction::pull) {
    co_return co_await pull_window(self, from.pull_from, windows_[index]);
  }
  co_return co_await push_window(self, index);
}

Awaitable<Result<void>> ShardPush::push_window(std::size_t self, std::size_t index) {
  auto const& window = windows_[index];
  if (!is_ahead(index) && is_known(window)) {
    co_return co_await push_known(self, distinct_in(window));
  }
  CO_TRY(auto read, co_await take_window(index));
  CO_TRY(auto const lacks, co_await lacking(self, distinct_in(window)));
  Result<void> sent = ok();
  auto const send_all = [&]() -> Awaitable<void> {
    sent = co_await send(self, read.chunks, lacks);
  };
  std::vector<Awaitable<void>> both;
  both.push_back(send_all());
  both.push_back(read_ahead(index + 1));
  co_await run_all(std::move(both));
  co_return sent;
}

Awaitable<Result<ShardPush::ReadWindow>> ShardPush::take_window(std::size_t index) {
  if (is_ahead(index)) {
    auto read = std::move(ahead_->read);
    ahead_.reset();
    co_return read;
  }
  ReadWindow read;
  CO_TRY(read.room, co_await buffers_.acquire(windows_[index].bytes));
  CO_TRY(read.chunks, co_await read_window(windows_[index]));
  co_return read;
}

// Takes no room that others wait for. An error is met again by whoever needs the window.
Awaitable<void> ShardPush::read_ahead(std::size_t index) {
  if (index == windows_.size() || is_known(windows_[index])) co_return;
  auto room = buffers_.try_acquire(windows_[index].bytes);
  if (!room) co_return;
  auto chunks = co_await read_window(windows_[index]);
  if (chunks.has_error()) co_return;
  ahead_ = Ahead{.window_index = index,
                 .read = {.room = std::move(*room), .chunks = std::move(chunks).value()}};
}

Awaitable<Result<void>> ShardPush::pull_window(std::size_t self, std::size_t from, Window window) {
  auto indexes = distinct_in(window);
  std::vector<WantedChunk> wanted;
  for (auto const index : indexes) {
    wanted.push_back({.digest = chunks_[index].digest, .base = base_of(index)});
  }
  auto const address = copies_[from].address();
  auto const outcomes = co_await copies_[self].pull(address, wanted);
  bool const has_all = std::none_of(outcomes.begin(), outcomes.end(),
                                    [](auto const& outcome) { return outcome.error.has_value(); });
  if (has_all) co_return ok();
  bool const stopped = co_await is_cancelled();
  if (stopped) co_return cancelled();
  co_return co_await push_known(self, std::move(indexes));
}

Awaitable<Result<void>> ShardPush::push_missing(std::size_t self, std::vector<Digest> digests) {
  std::unordered_set<Digest> wanted(digests.begin(), digests.end());
  std::vector<std::size_t> indexes;
  for (std::size_t index = 0; index < chunks_.size() && !wanted.empty(); ++index) {
    if (wanted.erase(chunks_[index].digest) > 0) indexes.push_back(index);
  }
  co_return co_await push_known(self, std::move(indexes));
}

Awaitable<Result<void>> ShardPush::push_known(std::size_t self, std::vector<std::size_t> indexes) {
  CO_TRY(auto const lacks, co_await lacking(self, indexes));
  for (auto const index : indexes) {
    if (!lacks.contains(chunks_[index].digest)) continue;
    Window const one{.first = index, .last = index + 1, .bytes = slices_[index].bytes};
    CO_TRY(auto permit, co_await buffers_.acquire(one.bytes));
    CO_TRY(auto chunks, co_await read_window(one));
    CO_TRY(co_await send(self, chunks, lacks));
  }
  co_return ok();
}

Awaitable<Result<std::unordered_set<Digest>>> ShardPush::lacking(
    std::size_t self, std::vector<std::size_t> const& indexes) {
  std::vector<Digest> asked;
  for (auto const index : indexes) {
    asked.push_back(chunks_[index].digest);
    if (auto const base = base_of(index)) asked.push_back(*base);
  }
  CO_TRY(auto const missing, co_await copies_[self].missing(asked));
  co_return std::unordered_set<Digest>(missing.begin(), missing.end());
}

Awaitable<Result<void>> ShardPush::send(std::size_t self, std::vector<ReadChunk>& chunks,
                                        std::unordered_set<Digest> const& lacking) {
  std::unordered_set<Digest> queued;
  std::vector<ReadChunk*> queue;
  for (auto& chunk : chunks) {
    if (lacking.contains(chunk.ref.digest) && queued.insert(chunk.ref.digest).second) {
      queue.push_back(&chunk);
    } else {
      sender_.note_present(chunk.ref.raw_bytes);
    }
  }
  std::size_t next = 0;
  Result<void> outcome = ok();
  auto const lane = [&]() -> Awaitable<void> {
    while (next < queue.size() && outcome.has_value()) {
      auto* chunk = queue[next++];
      auto base = sender_.base_of(chunk->slice);
      if (base && lacking.contains(base->digest)) base.reset();
      auto sent = co_await sender_.send(copies_[self], *chunk, base);
      if (sent.has_error() && outcome.has_value()) outcome = std::move(sent);
    }
  };
  std::vector<Awaitable<void>> lanes;
  for (std::size_t i = 0; i < std::min(queue.size(), limits::sends_in_flight_max); ++i) {
    lanes.push_back(lane());
  }
  co_await run_all(std::move(lanes));
  co_return outcome;
}

Awaitable<Result<std::vector<ReadChunk>>> ShardPush::read_window(Window window) {
  std::span<ChunkSlice const> const slices(slices_);
  auto chunks = co_await source_.read(slices.subspan(window.first, window.last - window.first));
  if (chunks.has_value()) {
    if (auto recorded = record(window.first, chunks.value()); recorded.has_error()) {
      chunks = std::move(recorded).error();
    }
  }
  if (chunks.has_error()) source_error_ = chunks.error();
  co_return chunks;
}

Result<void> ShardPush::record(std::size_t first, std::vector<ReadChunk> const& chunks) {
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    auto const index = first + i;
    if (index < chunks_.size()) {
      if (chunks_[index] != chunks[i].ref) return changed_while_stored(source_.file().path());
    } else {
      GROVE_ASSERT(index == chunks_.size());
      chunks_.push_back(chunks[i].ref);
    }
  }
  if (chunks_.size() == slices_.size()) finish_list();
  return ok();
}

void ShardPush::finish_list() {
  if (list_) return;
  list_ = ShardList{.file_offset = slices_.empty() ? 0 : slices_.front().offset, .chunks = chunks_};
  list_bytes_ = serialize(*list_);
  list_digest_ = sha256(list_bytes_.span());
  if (on_list_known) on_list_known(list_digest_);
}

Awaitable<Result<void>> ShardPush::complete_list() {
  if (windows_.empty()) finish_list();
  for (auto const& window : windows_) {
    if (is_known(window)) continue;
    CO_TRY(auto permit, co_await buffers_.acquire(window.bytes));
    CO_TRY(co_await read_window(window));
  }
  co_return ok();
}

Awaitable<Result<void>> ShardPush::sync(std::size_t self) {
  CO_TRY(co_await copies_[self].sync());
  std::uint64_t bytes = 0;
  for (; windows_durable_ < progress_[self].windows_acked; ++windows_durable_) {
    bytes += windows_[windows_durable_].bytes;
  }
  if (bytes > 0) events_.durable(bytes);
  co_return ok();
}

std::vector<std::size_t> ShardPush::distinct_in(Window window) const {
  std::vector<std::size_t> indexes;
  std::unordered_set<Digest> seen;
  for (std::size_t index = window.first; index < window.last; ++index) {
    if (seen.insert(chunks_[index].digest).second) indexes.push_back(index);
  }
  return indexes;
}

std::optional<Digest> ShardPush::base_of(std::size_t index) const {
  auto const base = sender_.base_of(slices_[index]);
  if (!base || base->digest == chunks_[index].digest) return std::nullopt;
  return base->digest;
}

}  // namespace grove
