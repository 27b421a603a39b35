#include "coordinator/store_job.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "coordinator/delta_source.h"
#include "coordinator/job_lines.h"
#include "coordinator/locate.h"
#include "format/safetensors.h"
#include "net/parallel.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

// The kernel stamps files with a clock that ticks every 1 to 10 ms: two writes within one tick look
// alike. So a file is looked at only when its last change lies a few ticks back.
constexpr std::chrono::milliseconds timestamp_step = 40ms;
// A file that is still being written after this many steps is reported, not waited for.
constexpr int settle_tries_max = 50;

bool is_fresh(FileStamp const& stamp) {
  auto const now = std::chrono::system_clock::now().time_since_epoch();
  auto const changed = std::chrono::nanoseconds(std::max(stamp.ctime_ns, stamp.mtime_ns));
  return changed <= now && now - changed < timestamp_step;
}

}  // namespace

StoreJob::StoreJob(Services& services, Config config, CheckpointRequest request,
                   StoreOptions options, std::shared_ptr<Job> job)
    : services_(services),
      config_(std::move(config)),
      request_(std::move(request)),
      options_(options),
      job_(std::move(job)),
      search_(services, config_, [this](std::string line) { job_->add_line(std::move(line)); }),
      searching_(services.executor) {}

Awaitable<void> StoreJob::run(std::function<void()> on_committed) {
  job_->begin();
  auto result = co_await open_request();
  if (result.has_value()) result = co_await make_plan();
  if (result.has_value()) result = co_await transfer();
  if (result.has_value()) result = co_await commit();
  searching_.cancel();
  co_await searching_.wait();
  if (result.has_error()) {
    co_await give_back();
    job_->fail_with(result.error());
    co_return;
  }
  on_committed();
  auto const none_left_out = check_none_left_out();
  if (none_left_out.has_error()) {
    job_->fail_with(none_left_out.error());
    co_return;
  }
  job_->add_line(lines::sent_bytes(sender_->totals(), stamp_.size));
  job_->finish(lines::store_done(copies_.size(), copies_.size(), config_.redundancy, request_.key));
  co_await forget_superseded();
}

// --- request ---

Awaitable<Result<void>> StoreJob::open_request() {
  auto opened = co_await services_.offload.run([&]() -> Result<std::pair<File, FileStamp>> {
    TRY(auto file, File::open_beneath(config_.ckpt_root, request_.relative));
    TRY(auto stamp, file.stamp());
    for (int tries = 0; is_fresh(stamp) && tries < settle_tries_max; ++tries) {
      std::this_thread::sleep_for(timestamp_step);
      TRY(stamp, file.stamp());
    }
    if (is_fresh(stamp)) return changed_while_stored(request_.path);
    file.will_read_in_order();
    return std::pair{std::move(file), stamp};
  });
  if (opened.has_error()) {
    if (opened.error().kind != ErrorKind::not_found) co_return std::move(opened).error();
    co_return fail(ErrorKind::not_found, "checkpoint not found: {}", request_.path.string());
  }
  auto& [file, stamp] = opened.value();
  if (stamp.size == 0) {
    co_return fail(ErrorKind::invalid, "{} is empty; nothing to store", request_.path.string());
  }
  stamp_ = stamp;
  source_ = std::make_unique<ChunkSource>(services_.executor, std::move(file),
                                          cache_use_for(stamp_.size), services_.offload);
  job_->set_bytes_total(stamp_.size);
  co_return ok();
}

// --- plan ---

Awaitable<Result<void>> StoreJob::make_plan() {
  SafetensorsLayout layout;
  if (request_.key.is_safetensors()) {
    auto planned = co_await services_.offload.run([&]() -> Result<FilePlan> {
      TRY(layout, parse_safetensors(reader_of(source_->file()), stamp_.size));
      return plan_safetensors(layout, config_.n_chunks);
    });
    if (planned.has_error()) {
      co_return fail(planned.error().kind, "{} is not a valid .safetensors file: {}",
                     request_.path.string(), planned.error().message);
    }
    plan_ = std::move(planned).value();
    job_->add_line(lines::loaded_tensors(plan_.tensors_count, plan_.file_bytes, request_.key,
                                         config_.n_chunks));
  } else {
    plan_ = plan_opaque(stamp_.size, config_.n_chunks);
    job_->add_line(lines::loaded_file(plan_.file_bytes, request_.key, config_.n_chunks));
  }
  CO_TRY(auto const copies,
         place_copies(config_.n_chunks, config_.workers.size(), config_.redundancy));
  for (auto const& copy : copies) {
    copies_.push_back({.copy = copy, .retries = 0, .error = {}});
    if (std::find(holders_.begin(), holders_.end(), copy.worker_index) == holders_.end()) {
      holders_.push_back(copy.worker_index);
    }
  }
  co_await find_earlier_generations();
  if (request_.key.is_safetensors()) {
    bases_ = co_await find_delta_bases(services_, config_, request_.key, before_.members, layout);
  }
  if (options_.only_into) co_return check_addition();
  co_return ok();
}

// Also leaves out whoever does not answer.
Result<void> StoreJob::check_addition() {
  if (choice_->is_refused()) {
    return fail(ErrorKind::conflict,
                "{} adds nothing to generation {}: it is cut otherwise, or is not the newest "
                "complete one, or cannot be read now; store it without a generation",
                request_.path.string(), options_.only_into->value);
  }
  auto const is_silent = [this](std::size_t worker) { return !before_.members[worker].health; };
  std::erase_if(holders_, is_silent);
  for (auto& copy : copies_) copy.is_left_out = is_silent(copy.copy.worker_index);
  if (holders_.empty()) return fail(ErrorKind::unavailable, "{}", before_.summary());
  return ok();
}

Result<void> StoreJob::check_none_left_out() const {
  auto const left_out = std::count_if(copies_.begin(), copies_.end(),
                                      [](CopyOutcome const& copy) { return copy.is_left_out; });
  if (left_out == 0) return ok();
  return fail(ErrorKind::unavailable,
              "{} of {} copies belong on workers that do not answer; the others are there",
              left_out, copies_.size());
}

Awaitable<void> StoreJob::find_earlier_generations() {
  co_await search_.look();
  before_ = co_await survey(services_, config_, request_.key);
  auto const known = generations_of(request_.key, before_.inventories);
  std::optional<Generation> newest_known;
  std::optional<Manifest> newest_complete;
  for (auto const& tombstone : before_.tombstones) {
    if (tombstone.key != request_.key) continue;
    newest_known = std::max(newest_known, std::optional(tombstone.up_to));
  }
  auto const forgotten = newest_known;
  for (auto const& generation : known) {
    newest_known = std::max(newest_known, std::optional(generation.generation));
    // What was forgotten on purpose is not taken up again: this store is a new one.
    if (generation.manifests.empty() || generation.generation <= forgotten) continue;
    auto manifest = co_await fetch_manifest(services_, config_, generation);
    if (manifest.has_value()) newest_complete = std::move(manifest).value();
    break;
  }
  std::optional<Generation> fresh;
  if (!options_.only_into) {
    fresh = next_generation(newest_known);
  } else if (newest_complete && newest_complete->generation != *options_.only_into) {
    newest_complete.reset();
  }
  choice_.emplace(services_.executor, plan_, std::move(newest_complete), fresh);
}

WorkerClient StoreJob::client_of(std::size_t worker_index) {
  auto address = address_of(device(worker_index));
  // Whoever answered at the start is who must answer to the end.
  if (auto const& health = before_.members[worker_index].health) address.id = health->id;
  return WorkerClient(services_.http, std::move(address), job_->id());
}

// --- transfer ---

void StoreJob::prepare_pushes() {
  sender_.emplace(
      services_.offload, services_.encodings,
      ChunkSender::Options{
          .compression = config_.compression, .delta = config_.delta, .bases = bases_.get()});
  auto const add_progress = [this](std::uint64_t bytes) { job_->add_bytes_done(bytes); };
  for (std::size_t first = 0; first < copies_.size(); first += config_.redundancy) {
    auto const shard = copies_[first].copy.shard;
    std::vector<WorkerClient> clients;
    for (std::size_t round = 0; round < config_.redundancy; ++round) {
      clients.push_back(client_of(copies_[first + round].copy.worker_index));
    }
    auto const on_retry = [this, first](std::size_t round, RetryNotice const& notice) {
      auto& outcome = copies_[first + round];
      outcome.retries = notice.retry;
      count_failed_try(services_, device(outcome.copy.worker_index));
      look_for_workers();
      job_->add_line(lines::retry(device(outcome.copy.worker_index).rank, notice.retry,
                                  notice.delay, notice.error.message));
    };
    auto const on_commit = [this, first](std::size_t round, WorkerClient& worker, Digest list) {
      return commit_copy(copies_[first + round].copy, worker, list);
    };
    auto const locate = [this, first](std::size_t round) {
      return address_of(device(copies_[first + round].copy.worker_index)).endpoint;
    };
    auto push = std::make_unique<ShardPush>(
        services_.executor, *source_, *sender_, plan_.shards[shard.value].chunks,
        std::move(clients), services_.buffers,
        PushEvents{.retry = on_retry, .durable = add_progress, .locate = locate}, on_commit);
    for (std::size_t round = 0; round < config_.redundancy; ++round) {
      if (copies_[first + round].is_left_out) push->leave_out(round);
    }
    push->on_list_known = [this, shard](Digest list) { choice_->shard_list_known(shard, list); };
    pushes_.push_back(std::move(push));
  }
  std::vector<WorkerClient> clients;
  for (auto const holder : holders_) clients.push_back(client_of(holder));
  // A holder that is away is already named by its shards' lines.
  auto const silent = [](std::size_t, RetryNotice const&) {};
  auto const locate = [this](std::size_t index) {
    return address_of(device(holders_[index])).endpoint;
  };
  header_push_ = std::make_unique<ShardPush>(
      services_.executor, *source_, *sender_, plan_.header_chunks, std::move(clients),
      services_.buffers, PushEvents{.retry = silent, .durable = add_progress, .locate = locate},
      CommitCopy{});
  header_push_->on_list_known = [this](Digest list) { choice_->header_list_known(list); };
}

Awaitable<Result<void>> StoreJob::transfer() {
  prepare_pushes();
  tasks_.emplace(services_.executor);
  for (std::size_t index = 0; index < copies_.size(); ++index) {
    tasks_->spawn("send a copy of " + request_.key.identity(), send_copy(index));
  }
  for (std::size_t index = 0; index < holders_.size(); ++index) {
    tasks_->spawn("send the header of " + request_.key.identity(), send_header(index));
  }
  tasks_->spawn("hash " + request_.key.identity(), hash_whole_file());
  co_await tasks_->wait();
  if (stopped_for_) co_return *stopped_for_;
  bool const stopped = co_await is_cancelled();
  if (stopped) {
    co_return fail(ErrorKind::cancelled,
                   "the coordinator is stopping; store the checkpoint again to go on");
  }
  auto const failed = static_cast<std::size_t>(
      std::count_if(copies_.begin(), copies_.end(),
                    [](CopyOutcome const& c) { return c.error && !c.is_left_out; }));
  if (failed > 0) {
    co_return fail(ErrorKind::unavailable, "{}", lines::sends_failed(failed, copies_.size()));
  }
  if (header_errors_.empty()) co_return ok();
  for (auto const& failure : header_errors_) {
    count_failed_try(services_, device(failure.worker_index));
    job_->add_line(lines::gave_up(device(failure.worker_index).rank, failure.error.message, 0));
  }
  co_return fail(ErrorKind::unavailable, "the header could not be sent to {} of {} workers",
                 header_errors_.size(), holders_.size());
}

Awaitable<void> StoreJob::send_copy(std::size_t index) {
  auto& outcome = copies_[index];
  auto& push = *pushes_[index / config_.redundancy];
  auto const& worker = device(outcome.copy.worker_index);
  auto const begun = std::chrono::steady_clock::now();
  auto result = Result<void>(before_.members[outcome.copy.worker_index].error);
  if (!outcome.is_left_out) result = co_await push.run_copy(outcome.copy.round);
  if (result.has_value()) {
    services_.metrics.observe(Timing::send_duration, std::chrono::steady_clock::now() - begun);
    job_->add_line(lines::sent(worker.rank, worker.host, outcome.copy.round));
    co_return;
  }
  outcome.error = result.error();
  if (push.source_error()) {
    stop_for(*push.source_error());
    co_return;
  }
  if (outcome.error->kind == ErrorKind::cancelled) co_return;
  if (!outcome.is_left_out) count_failed_try(services_, worker);
  job_->add_line(lines::gave_up(worker.rank, outcome.error->message, outcome.retries));
  auto const first = copies_.begin() + static_cast<std::ptrdiff_t>(index - outcome.copy.round);
  bool const all_failed =
      std::all_of(first, first + static_cast<std::ptrdiff_t>(config_.redundancy),
                  [](CopyOutcome const& c) { return c.error.has_value(); });
  if (!all_failed) co_return;
  // Copies of the other shards may be waiting to learn whether this file's content is new.
  auto const read = co_await push.complete_list();
  if (read.has_error() && read.error().kind != ErrorKind::cancelled) stop_for(read.error());
}

// It may have moved: the next try goes where it answers by then.
void StoreJob::look_for_workers() {
  if (!search_.is_looking()) searching_.spawn("look for moved workers", search_.look());
}

Awaitable<void> StoreJob::send_header(std::size_t index) {
  auto result = co_await header_push_->run_copy(index);
  if (result.has_value()) co_return;
  if (header_push_->source_error()) stop_for(*header_push_->source_error());
  header_errors_.push_back({.worker_index = holders_[index], .error = result.error()});
  if (header_errors_.size() < holders_.size() || stopped_for_) co_return;
  // Nobody read it, and the copies may be waiting to learn whether this file's content is new.
  auto const read = co_await header_push_->complete_list();
  if (read.has_error() && read.error().kind != ErrorKind::cancelled) stop_for(read.error());
}

Awaitable<void> StoreJob::hash_whole_file() {
  auto digest = co_await source_->hash_file(stamp_.size);
  if (digest.has_value()) {
    whole_file_ = digest.value();
  } else if (digest.error().kind != ErrorKind::cancelled) {
    stop_for(digest.error());
  }
}

void StoreJob::stop_for(Error error) {
  if (!stopped_for_) stopped_for_ = std::move(error);
  tasks_->cancel();
}

Awaitable<Result<std::vector<Digest>>> StoreJob::commit_copy(PlannedCopy copy, WorkerClient& worker,
                                                             Digest list) {
  auto const chosen = co_await choice_->wait();
  if (choice_->is_refused()) {
    stop_for(fail(ErrorKind::conflict,
                  "{} has not the content of generation {}; store it without a generation",
                  request_.path.string(), options_.only_into->value));
    co_return fail(ErrorKind::cancelled, "the store was stopped");
  }
  CO_TRY(auto const generation, chosen);
  Ref const ref{
      .key = request_.key, .generation = generation, .name = RefName{copy.shard}, .target = list};
  CO_TRY(auto missing, co_await worker.put_ref(ref));
  // Of the new generation only: the copies of one that was complete before stay.
  if (missing.empty() && !choice_->repeated()) {
    committed_refs_.push_back({.worker_index = copy.worker_index, .ref = ref});
  }
  co_return missing;
}

}  // namespace grove
