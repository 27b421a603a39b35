#include "transfer/push.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <unordered_set>

#include "base/limits.h"
#include "net/parallel.h"

namespace grove {
namespace {

Error cancelled() {
  return fail(ErrorKind::cancelled, "the store was stopped");
}

// Runs `job` of 0, 1, … below `count`, as many at once as sends may be, until one fails.
Awaitable<Result<void>> in_lanes(std::size_t count,
                                 std::function<Awaitable<Result<void>>(std::size_t)> job) {
  std::size_t next = 0;
  Result<void> outcome = ok();
  auto const lane = [&]() -> Awaitable<void> {
    while (next < count && outcome.has_value()) {
      auto done = co_await job(next++);
      if (done.has_error() && outcome.has_value()) outcome = std::move(done);
    }
  };
  std::vector<Awaitable<void>> lanes;
  for (std::size_t i = 0; i < std::min(count, limits::sends_in_flight_max); ++i) {
    lanes.push_back(lane());
  }
  co_await run_all(std::move(lanes));
  co_return outcome;
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
      copies_(std::make_move_iterator(copies.begin()), std::make_move_iterator(copies.end())),
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
        drop_ahead(copy);
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

std::size_t ShardPush::add_copy(WorkerClient worker) {
  copies_.push_back(std::move(worker));
  progress_.push_back({.phase = CopyPhase::waiting, .windows_acked = 0});
  return copies_.size() - 1;
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
  CO_TRY(auto const answer, co_await ask(self, distinct_in(window)));
  Result<void> sent = ok();
  auto const send_all = [&]() -> Awaitable<void> {
    sent = co_await send(self, read.chunks, answer);
  };
  std::vector<Awaitable<void>> both;
  both.push_back(send_all());
  both.push_back(read_ahead(self, index + 1));
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
  if (is_ahead(index)) ahead_.reset();  // another copy's task was slower
  co_return read;
}

// Takes no room that others wait for. An error is met again by whoever needs the window.
Awaitable<void> ShardPush::read_ahead(std::size_t self, std::size_t index) {
  drop_ahead(self);  // one that another copy has pushed meanwhile
  if (ahead_ || index == windows_.size() || is_known(windows_[index])) co_return;
  auto const& window = windows_[index];
  auto room = buffers_.try_acquire(window.bytes);
  if (!room) co_return;
  auto chunks = co_await source_.read(slices_of(window));
  bool const is_needed = chunks.has_value() && !ahead_ && !is_known(window);
  if (!is_needed || record(window.first, chunks.value()).has_error()) co_return;
  ahead_ = Ahead{.window_index = index,
                 .copy = self,
                 .read = {.room = std::move(*room), .chunks = std::move(chunks).value()}};
}

void ShardPush::drop_ahead(std::size_t self) {
  if (ahead_ && ahead_->copy == self) ahead_.reset();
}

Awaitable<Result<void>> ShardPush::pull_window(std::size_t self, std::size_t from, Window window) {
  std::vector<WantedChunk> wanted;
  for (auto const index : distinct_in(window)) {
    auto const base = base_of(index);
    wanted.push_back({.digest = chunks_[index].digest,
                      .base = base ? std::optional(base->digest) : std::nullopt});
  }
  auto const address = copies_[from].address();
  auto const outcomes = co_await copies_[self].pull(address, wanted);
  std::vector<Digest> failed;
  for (auto const& outcome : outcomes) {
    if (outcome.error) failed.push_back(outcome.chunk);
  }
  if (failed.empty()) co_return ok();
  bool const stopped = co_await is_cancelled();
  if (stopped) co_return cancelled();
  co_return co_await push_missing(self, std::move(failed));
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
  CO_TRY(auto const answer, co_await ask(self, indexes));
  std::erase_if(indexes,
                [&](std::size_t index) { return !answer.lacking.contains(chunks_[index].digest); });
  co_return co_await in_lanes(indexes.size(), [&](std::size_t at) -> Awaitable<Result<void>> {
    auto const index = indexes[at];
    Window const one{.first = index, .last = index + 1, .bytes = slices_[index].bytes};
    CO_TRY(auto permit, co_await buffers_.acquire(one.bytes));
    CO_TRY(auto chunks, co_await read_window(one));
    co_return co_await send_one(self, chunks.front(), answer);
  });
}

Awaitable<Result<ShardPush::Answer>> ShardPush::ask(std::size_t self,
                                                    std::vector<std::size_t> const& indexes) {
  Answer answer;
  std::vector<Digest> asked;
  for (auto const index : indexes) {
    auto const& digest = chunks_[index].digest;
    asked.push_back(digest);
    if (auto const base = base_of(index)) {
      asked.push_back(base->digest);
      answer.bases.emplace(digest, *base);
    }
  }
  CO_TRY(auto const missing, co_await copies_[self].missing(asked));
  answer.lacking.insert(missing.begin(), missing.end());
  std::erase_if(answer.bases,
                [&](auto const& entry) { return answer.lacking.contains(entry.second.digest); });
  co_return answer;
}

Awaitable<Result<void>> ShardPush::send(std::size_t self, std::vector<ReadChunk>& chunks,
                                        Answer const& answer) {
  std::unordered_set<Digest> queued;
  std::vector<ReadChunk*> queue;
  for (auto& chunk : chunks) {
    if (!answer.lacking.contains(chunk.ref.digest)) {
      sender_.note_present(chunk.ref.raw_bytes);
    } else if (queued.insert(chunk.ref.digest).second) {
      queue.push_back(&chunk);
    }
  }
  co_return co_await in_lanes(queue.size(),
                              [&](std::size_t at) { return send_one(self, *queue[at], answer); });
}

Awaitable<Result<void>> ShardPush::send_one(std::size_t self, ReadChunk& chunk,
                                            Answer const& answer) {
  std::optional<DeltaBase> base;
  auto const held = answer.bases.find(chunk.ref.digest);
  // Deltas of its tensor may have been given up meanwhile.
  if (held != answer.bases.end() && sender_.base_of(chunk.slice)) base = held->second;
  co_return co_await sender_.send(copies_[self], chunk, base);
}

std::span<ChunkSlice const> ShardPush::slices_of(Window window) const {
  return std::span(slices_).subspan(window.first, window.last - window.first);
}

Awaitable<Result<std::vector<ReadChunk>>> ShardPush::read_window(Window window) {
  auto chunks = co_await source_.read(slices_of(window));
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
  GROVE_ASSERT(progress_[self].windows_acked <= windows_.size());
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

std::optional<DeltaBase> ShardPush::base_of(std::size_t index) const {
  auto const base = sender_.base_of(slices_[index]);
  if (!base || base->digest == chunks_[index].digest) return std::nullopt;
  return base;
}

}  // namespace grove
