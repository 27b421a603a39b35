#include "transfer/fetch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/limits.h"
#include "transfer/pull.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

}  // namespace

// One list on its way. Kept alive by its requests, since a cancelled caller does not wait for them.
struct Fetch::List {
  List(asio::any_io_executor executor, ShardList shard_list, FetchTarget to)
      : list(std::move(shard_list)), target(std::move(to)), changed(std::move(executor)) {
    std::unordered_map<Digest, std::uint32_t> latest;
    latest.reserve(list.chunks.size());
    auto offset = list.file_offset;
    next_place.resize(list.chunks.size(), none);
    for (std::uint32_t index = 0; index < list.chunks.size(); ++index) {
      offsets.push_back(offset);
      offset += list.chunks[index].raw_bytes;
      auto const [found, is_new] = latest.emplace(list.chunks[index].digest, index);
      if (is_new) {
        distinct.push_back(index);
      } else {
        next_place[found->second] = index;
        found->second = index;
      }
    }
    is_taken = std::vector<std::atomic<bool>>(distinct.size());
  }

  std::vector<std::uint32_t> sizes() const {
    std::vector<std::uint32_t> sizes;
    for (auto const index : distinct) sizes.push_back(list.chunks[index].raw_bytes);
    return sizes;
  }
  // Calls `use` with each place in the list of the chunk; stops at the first error.
  Result<void> at_each_place(std::size_t chunk, auto const& use) const {
    for (auto index = distinct[chunk]; index != none; index = next_place[index]) {
      TRY(use(index));
    }
    return ok();
  }

  ShardList list;
  FetchTarget target;
  std::vector<std::uint64_t> offsets;       // in the file, of each of the list's chunks
  std::vector<std::uint32_t> distinct;      // the schedule's chunks: where each comes first
  std::vector<std::uint32_t> next_place;    // where the same chunk comes again, or `none`
  std::vector<std::atomic<bool>> is_taken;  // by the first proven copy of each

  ChunkSchedule::ListId id = 0;
  std::map<std::size_t, Error> causes;  // what each holder said last
  std::optional<Error> error;           // the sink's
  std::size_t running_count = 0;
  // Once it is over the schedule has forgotten it.
  bool is_over = false;
  bool is_complete = false;
  std::size_t served_by = 0;
  Signal changed;
};

Fetch::Fetch(Options options)
    : options_(std::move(options)), more_to_do_(options_.executor), tasks_(options_.executor) {}

ChunkSchedule::Seconds Fetch::now() const {
  return Clock::now().time_since_epoch();
}

// Each worker's requests are tasks that live as long as the fetch.
void Fetch::meet(std::vector<Holder> const& holders) {
  for (auto const& holder : holders) {
    auto const index = holder.worker_index;
    auto const [known, is_new] = workers_.try_emplace(index, Worker{holder.client, {}});
    if (is_new) {
      for (std::size_t i = 0; i < limits::gets_in_flight_max; ++i) {
        tasks_.spawn("fetch", work(index));
      }
    } else if (known->second.client.address().endpoint != holder.client.address().endpoint) {
      known->second.client.move_to(holder.client.address().endpoint);
      schedule_.take_back(index);
    }
  }
}

Awaitable<Result<ShardList>> Fetch::shard_list(Digest digest, std::vector<Holder> holders) {
  meet(holders);
  std::map<std::size_t, Error> causes;
  for (auto const& holder : holders) {
    auto const index = holder.worker_index;
    if (schedule_.is_left_out(index)) continue;
    auto list = co_await workers_.at(index).client.get_list(digest);
    if (list.has_value()) co_return std::move(list).value();
    auto error = std::move(list).error();
    if (error.kind == ErrorKind::cancelled) co_return error;
    options_.on_failure(index);
    if (!is_of_the_object_alone(error.kind)) {
      workers_.at(index).last_error = error;
      schedule_.unreachable(index);
      look_at_lists();
    }
    causes[index] = std::move(error);
  }
  co_return nobody_gave(holders, causes);
}

Awaitable<Result<std::size_t>> Fetch::chunks(ShardList list, std::vector<Holder> holders,
                                             FetchTarget target) {
  meet(holders);
  auto const fetched =
      std::make_shared<List>(options_.executor, std::move(list), std::move(target));
  std::vector<std::size_t> indexes;
  for (auto const& holder : holders) indexes.push_back(holder.worker_index);
  fetched->id = schedule_.add(indexes, fetched->sizes());
  lists_.emplace(fetched->id, fetched);
  look_at_lists();
  more_to_do_.notify_all();
  bool stopped = co_await is_cancelled();
  while (!stopped && !(fetched->is_over && fetched->running_count == 0)) {
    std::ignore = co_await fetched->changed.wait();  // the loop looks at what has changed
    stopped = co_await is_cancelled();
  }
  end(*fetched);
  lists_.erase(fetched->id);
  if (fetched->error) co_return *fetched->error;
  if (fetched->is_complete) co_return fetched->served_by;
  if (stopped) co_return fail(ErrorKind::cancelled, "the gather was stopped");
  co_return nobody_gave(holders, fetched->causes);
}

Awaitable<void> Fetch::stop() {
  tasks_.cancel();
  co_await tasks_.wait();
}

// One of a worker's requests after the other. Room for the body comes first, so that the choice is
// made when the request can go out at once.
Awaitable<void> Fetch::work(std::size_t worker) {
  for (;;) {
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return;
    if (!schedule_.choose(worker, now())) {
      // Others' requests may turn out to be slow.
      std::ignore = co_await more_to_do_.wait_until(Clock::now() + limits::idle_holder_period);
      continue;
    }
    auto const permit = co_await options_.buffers.acquire(limits::encoded_chunk_bytes_max);
    if (!permit) co_return;
    auto const choice = schedule_.choose(worker, now());
    if (!choice) continue;
    auto const request = schedule_.begin(worker, *choice, now());
    auto const list = lists_.at(choice->list);
    ++list->running_count;
    TaskGroup task(options_.executor);
    running_.emplace(request, Running{.list = choice->list, .task = &task});
    task.spawn("chunk", move(request, worker, list, choice->chunk));
    co_await task.wait();
    running_.erase(request);
    --list->running_count;
    list->changed.notify_all();
  }
}

Awaitable<void> Fetch::move(ChunkSchedule::RequestId request, std::size_t worker,
                            std::shared_ptr<List> list, std::size_t chunk) {
  auto const digest = list->list.chunks[list->distinct[chunk]].digest;
  bool is_first = false;
  std::optional<Error> sink_error;  // our own disk's: it must not be taken for the holder's
  std::uint64_t received_bytes = 0;
  ChunkSink const place = [&](Digest const&, std::span<std::byte const> encoded,
                              std::span<std::byte const> raw) -> Result<void> {
    received_bytes += encoded.size();
    if (list->is_taken[chunk].exchange(true)) return ok();
    is_first = true;
    auto written = list->at_each_place(
        chunk, [&](std::uint32_t index) { return list->target.sink(raw, list->offsets[index]); });
    if (written.has_error()) sink_error = written.error();
    return written;
  };
  auto moved = co_await pull_chunk(workers_.at(worker).client, digest, place, options_.offload);
  if (sink_error) {
    list->error = std::move(sink_error);
    end(*list);
  } else if (moved.has_error()) {
    note_failure(request, *list, worker, std::move(moved).error());
  } else if (is_first) {
    note_success(request, *list, chunk);
  }
  if (options_.throttle != nullptr) co_await options_.throttle->pay(received_bytes);
}

void Fetch::note_success(ChunkSchedule::RequestId request, List& list, std::size_t chunk) {
  std::uint64_t bytes = 0;
  std::ignore = list.at_each_place(chunk, [&](std::uint32_t index) -> Result<void> {  // no error
    bytes += list.list.chunks[index].raw_bytes;
    return ok();
  });
  options_.on_bytes(bytes);
  for (auto const in_vain : schedule_.got(request, now())) {
    auto const found = running_.find(in_vain);
    if (found != running_.end()) found->second.task->cancel();
  }
  look_at_lists();
}

void Fetch::note_failure(ChunkSchedule::RequestId request, List& list, std::size_t worker,
                         Error error) {
  schedule_.failed(request, error.kind);
  if (error.kind == ErrorKind::cancelled) return;
  options_.on_failure(worker);
  if (error.kind == ErrorKind::corrupt) options_.on_damage(worker);
  if (schedule_.is_left_out(worker)) workers_.at(worker).last_error = error;
  list.causes[worker] = std::move(error);
  look_at_lists();
  more_to_do_.notify_all();
}

// Says who was replaced, and ends the lists that are complete or lost.
void Fetch::look_at_lists() {
  for (auto const& fallback : schedule_.take_fallbacks()) {
    // A failure was counted when it happened.
    if (fallback.why == ChunkSchedule::Why::outrun) options_.on_failure(fallback.failed);
    lists_.at(fallback.list)->target.on_replaced(fallback.next, fallback.failed);
  }
  for (auto const& [id, list] : lists_) {
    if (!list->is_over && schedule_.state(id) != ChunkSchedule::State::running) end(*list);
  }
}

void Fetch::end(List& list) {
  if (list.is_over) return;
  list.is_over = true;
  list.is_complete = schedule_.state(list.id) == ChunkSchedule::State::complete;
  list.served_by = schedule_.served_by(list.id);
  schedule_.remove(list.id);
  for (auto const& [request, running] : running_) {
    if (running.list == list.id) running.task->cancel();
  }
  list.changed.notify_all();
}

Error Fetch::nobody_gave(std::vector<Holder> const& holders,
                         std::map<std::size_t, Error> const& causes) {
  std::string text;
  for (auto const& holder : holders) {
    auto const cause = causes.find(holder.worker_index);
    auto const& error =
        cause != causes.end() ? cause->second : workers_.at(holder.worker_index).last_error;
    if (error.message.empty()) continue;
    if (!text.empty()) text += "; ";
    text += error.message;
  }
  return {ErrorKind::unavailable, text.empty() ? "no worker has it" : text};
}

}  // namespace grove
