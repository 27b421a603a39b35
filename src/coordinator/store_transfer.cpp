// The long paragraph of a store: every copy on the worker that the ring names, or, once that has
// failed twice, on one that stands in for it.
#include <algorithm>
#include <chrono>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "coordinator/job_lines.h"
#include "coordinator/store_job.h"
#include "net/parallel.h"
#include "plan/stand_in.h"

namespace grove {

void StoreJob::prepare_pushes() {
  sender_.emplace(services_.offload, services_.encodings,
                  ChunkSender::Options{.compression = config_.compression,
                                       .delta = config_.delta,
                                       .bases = bases_.get(),
                                       .throttle = &throttle_});
  for (std::size_t shard = 0; shard < plan_.shards.size(); ++shard) {
    auto& sends = shards_.emplace_back().sends;
    for (std::size_t round = 0; round < config_.redundancy; ++round) {
      auto const copy = shard * config_.redundancy + round;
      sends.push_back({.copy = copy, .worker_index = copies_[copy].copy.worker_index, .error = {}});
    }
    shards_.back().push = make_push(shard);
  }
  prepare_header();
}

std::unique_ptr<ShardPush> StoreJob::make_push(std::size_t shard) {
  std::vector<WorkerClient> clients;
  for (auto const& send : shards_[shard].sends) clients.push_back(client_of(send.worker_index));
  PushEvents events;
  events.retry = [this, shard](std::size_t number, RetryNotice const& notice) {
    note_retry(shard, number, notice);
  };
  events.durable = [this](std::uint64_t bytes) { job_->add_bytes_done(bytes); };
  events.locate = [this, shard](std::size_t number) {
    return address_of(device(shards_[shard].sends[number].worker_index)).endpoint;
  };
  auto const on_commit = [this, shard](std::size_t number, WorkerClient& worker, Digest list) {
    auto const& send = shards_[shard].sends[number];
    return commit_copy({.shard = copies_[send.copy].copy.shard,
                        .round = copies_[send.copy].copy.round,
                        .worker_index = send.worker_index},
                       worker, list);
  };
  auto push = std::make_unique<ShardPush>(services_.executor, *source_, *sender_,
                                          plan_.shards[shard].chunks, std::move(clients),
                                          services_.buffers, std::move(events), on_commit);
  for (std::size_t round = 0; round < config_.redundancy; ++round) {
    if (copies_[shard * config_.redundancy + round].is_left_out) push->leave_out(round);
  }
  push->on_list_known = [this, index = copies_[shard * config_.redundancy].copy.shard](
                            Digest list) { choice_->shard_list_known(index, list); };
  return push;
}

void StoreJob::prepare_header() {
  std::vector<WorkerClient> clients;
  for (auto& holder : holders_) {
    holder.number = clients.size();
    clients.push_back(client_of(holder.worker_index));
    header_sends_.emplace_back(services_.executor);
  }
  PushEvents events;
  // A holder that is away is already named by its shards' lines.
  events.retry = [](std::size_t, RetryNotice const&) {};
  events.durable = [this](std::uint64_t bytes) { job_->add_bytes_done(bytes); };
  events.locate = [this](std::size_t number) {
    return address_of(device(holders_[number].worker_index)).endpoint;
  };
  header_push_ = std::make_unique<ShardPush>(services_.executor, *source_, *sender_,
                                             plan_.header_chunks, std::move(clients),
                                             services_.buffers, std::move(events), CommitCopy{});
  header_push_->on_list_known = [this](Digest list) { choice_->header_list_known(list); };
}

Awaitable<Result<void>> StoreJob::transfer() {
  prepare_pushes();
  tasks_.emplace(services_.executor);
  // Whoever is known to be gone is stood in for at once, and add_holder() sends that one's header.
  auto const planned_count = holders_.size();
  tasks_->spawn("make the copies of " + request_.key.identity(), make_copies());
  for (std::size_t number = 0; number < planned_count; ++number) {
    tasks_->spawn("send the header of " + request_.key.identity(), send_header(number));
  }
  tasks_->spawn("hash " + request_.key.identity(), hash_whole_file());
  co_await tasks_->wait();
  if (stopped_for_) co_return *stopped_for_;
  bool const stopped = co_await is_cancelled();
  if (stopped) {
    co_return fail(ErrorKind::cancelled,
                   "the coordinator is stopping; store the checkpoint again to go on");
  }
  auto const failed = static_cast<std::size_t>(std::ranges::count_if(
      copies_, [](CopyOutcome const& copy) { return !copy.kept_by && !copy.is_left_out; }));
  if (failed > 0) {
    co_return fail(ErrorKind::unavailable, "{}", lines::sends_failed(failed, copies_.size()));
  }
  co_return choose_final_holders();
}

// --- copies ---

Awaitable<void> StoreJob::make_copies() {
  send_ended_.emplace(services_.executor);
  for (auto& copy : copies_) copy.sends = std::make_unique<TaskGroup>(services_.executor);
  for (std::size_t index = 0; index < copies_.size(); ++index) {
    copies_[index].sends->spawn("send a copy of " + request_.key.identity(),
                                run_send(index / config_.redundancy, copies_[index].copy.round));
  }
  TaskGroup heeding(services_.executor);
  heeding.spawn("heed the watch", heed_watch());
  std::vector<Awaitable<void>> copies;
  for (std::size_t index = 0; index < copies_.size(); ++index) {
    copies.push_back(wait_for_copy(index));
  }
  co_await run_all(std::move(copies));
  heeding.cancel();
  co_await heeding.wait();
  // The header is of no use to one that keeps no copy, and may never reach it.
  for (auto const& holder : holders_) {
    bool const is_keeper = std::ranges::any_of(
        copies_, [&](CopyOutcome const& copy) { return copy.kept_by == holder.worker_index; });
    if (!is_keeper) header_sends_[holder.number].cancel();
  }
}

Awaitable<void> StoreJob::wait_for_copy(std::size_t index) {
  auto& copy = copies_[index];
  auto const shard = index / config_.redundancy;
  auto const copies = std::span(copies_).subspan(shard * config_.redundancy, config_.redundancy);
  for (;;) {
    co_await copy.sends->wait();
    bool const stopped = co_await is_cancelled();
    if (copy.kept_by || stopped) break;
    // A worker that was to stand in for another copy may be free by now.
    find_stand_in(index);
    if (!copy.sends->is_empty()) continue;
    bool const others_go_on = std::ranges::any_of(
        copies, [](CopyOutcome const& other) { return !other.sends->is_empty(); });
    if (!others_go_on) break;
    std::ignore = co_await send_ended_->wait();  // the loop looks at what has changed
  }
  copy.is_over = true;
  bool const all_failed = std::ranges::all_of(
      copies, [](CopyOutcome const& other) { return !other.kept_by && other.is_over; });
  bool const stopped = co_await is_cancelled();
  if (!all_failed || stopped) co_return;
  // Copies of the other shards may be waiting to learn whether this file's content is new.
  auto const read = co_await shards_[shard].push->complete_list();
  if (read.has_error() && read.error().kind != ErrorKind::cancelled) stop_for(read.error());
}

Awaitable<void> StoreJob::run_send(std::size_t shard, std::size_t number) {
  co_await send_to(shard, number);
  asio::post(services_.executor, [signal = *send_ended_]() mutable { signal.notify_all(); });
}

Awaitable<void> StoreJob::send_to(std::size_t shard, std::size_t number) {
  auto& send = shards_[shard].sends[number];
  auto& push = *shards_[shard].push;
  auto& copy = copies_[send.copy];
  auto const& worker = device(send.worker_index);
  auto const begun = std::chrono::steady_clock::now();
  auto result = Result<void>(before_.members[send.worker_index].error);
  if (!copy.is_left_out) result = co_await push.run_copy(number);
  if (result.has_value()) {
    if (copy.kept_by) co_return;  // another was as fast: there is one more
    copy.kept_by = send.worker_index;
    services_.metrics.observe(Timing::send_duration, std::chrono::steady_clock::now() - begun);
    job_->add_line(lines::sent(worker.rank, worker.host, copy.copy.round));
    copy.sends->cancel();  // whoever else was to keep it
    co_return;
  }
  send.error = result.error();
  if (push.source_error()) {
    stop_for(*push.source_error());
    co_return;
  }
  if (send.error->kind == ErrorKind::cancelled) co_return;
  if (!copy.is_left_out) count_failed_try(services_, worker);
  job_->add_line(lines::gave_up(worker.rank, send.error->message, send.retries));
  doubt(send.worker_index);
}

void StoreJob::note_retry(std::size_t shard, std::size_t number, RetryNotice const& notice) {
  auto& send = shards_[shard].sends[number];
  send.retries = notice.retry;
  count_failed_try(services_, device(send.worker_index));
  look_for_workers();
  job_->add_line(lines::retry(device(send.worker_index).rank, notice.retry, notice.delay,
                              notice.error.message));
  // One that was silent when the store began has failed twice by now.
  if (notice.retry >= 2 || !before_.members[send.worker_index].health) doubt(send.worker_index);
}

// It may have moved: the next try goes where it answers by then.
void StoreJob::look_for_workers() {
  if (!search_.is_looking()) searching_.spawn("look for moved workers", search_.look());
}

// --- stand-ins ---

// Nothing new is put on a worker that is to be emptied, as long as another can take it.
void StoreJob::pass_over_draining() {
  taken_bytes_.resize(config_.workers.size());
  if (options_.only_into) return;
  for (auto& copy : copies_) {
    auto const& health = before_.members[copy.copy.worker_index].health;
    if (!health || !health->is_draining) continue;
    auto const shard = copy.copy.shard;
    auto const chosen = fit_worker(copy, [&](std::size_t worker) {
      return std::ranges::any_of(copies_, [&](CopyOutcome const& other) {
        return other.copy.shard == shard && other.copy.worker_index == worker;
      });
    });
    if (!chosen) continue;
    note_stand_in(*chosen, copy.copy.worker_index, shard);
    copy.copy.worker_index = *chosen;
  }
}

void StoreJob::note_stand_in(std::size_t chosen, std::size_t replaced, ShardIndex shard) {
  auto const& planned = plan_.shards[shard.value];
  taken_bytes_[chosen] += planned.end - planned.begin;
  if (!told_stand_ins_.emplace(chosen, replaced).second) return;
  auto const& failed = device(replaced);
  job_->add_line(
      lines::stands_in(device(chosen).rank, device(chosen).host, failed.rank, failed.host));
}

// The watch may know before the job's own calls do, some of which have long patience.
Awaitable<void> StoreJob::heed_watch() {
  for (;;) {
    for (std::size_t worker = 0; worker < config_.workers.size(); ++worker) {
      if (has_gone(worker)) doubt(worker);
    }
    std::ignore = co_await services_.presences.changed().wait();
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return;
  }
}

// Since the survey, to which it answered: what the watch saw before that is old.
bool StoreJob::has_gone(std::size_t worker_index) const {
  auto const* watched = services_.presences.find(device(worker_index).rank);
  if (watched == nullptr || watched->presence != Presence::down) return false;
  return !before_.members[worker_index].health || watched->since > surveyed_;
}

// All that the worker was to keep others may stand in for.
void StoreJob::doubt(std::size_t worker_index) {
  doubtful_workers_.insert(worker_index);
  for (auto& shard : shards_) {
    // By number: a stand-in's send may be added meanwhile.
    for (std::size_t number = 0; number < shard.sends.size(); ++number) {
      auto& send = shard.sends[number];
      if (send.worker_index != worker_index) continue;
      send.is_doubtful = true;
      find_stand_in(send.copy);
    }
  }
}

// The copy's own worker goes on trying beside it: the first that has the copy keeps it.
void StoreJob::find_stand_in(std::size_t index) {
  auto& copy = copies_[index];
  auto& push = shards_[index / config_.redundancy].push;
  auto& sends = shards_[index / config_.redundancy].sends;
  if (!config_.stand_ins || options_.only_into || copy.kept_by || copy.is_over || stopped_for_) {
    return;
  }
  bool const is_hopeful = std::ranges::any_of(sends, [&](Send const& send) {
    return send.copy == index && !send.is_doubtful && !send.error;
  });
  if (is_hopeful) return;
  auto const chosen = fit_worker(copy, [&](std::size_t worker) {
    return std::ranges::any_of(
        sends, [&](Send const& send) { return send.worker_index == worker && !send.error; });
  });
  if (!chosen) return;
  note_stand_in(*chosen, copy.copy.worker_index, copy.copy.shard);
  add_holder(*chosen);
  auto const number = push->add_copy(client_of(*chosen));
  sends.push_back({.copy = index, .worker_index = *chosen, .error = {}});
  copy.sends->spawn("send a copy of " + request_.key.identity() + " to a stand-in",
                    run_send(index / config_.redundancy, number));
}

std::optional<std::size_t> StoreJob::fit_worker(
    CopyOutcome const& copy, std::function<bool(std::size_t)> const& is_engaged) const {
  std::vector<StandInCandidate> candidates(config_.workers.size());
  for (std::size_t worker = 0; worker < candidates.size(); ++worker) {
    auto const& health = before_.members[worker].health;
    if (!health || health->is_draining || doubtful_workers_.contains(worker)) continue;
    if (is_engaged(worker)) continue;
    auto const kept_free = health->reserved_bytes + taken_bytes_[worker];
    candidates[worker] = {
        .is_fit = true,
        .holds_shard = holds_shard(worker, copy.copy.shard),
        .room_bytes = health->free_bytes - std::min(health->free_bytes, kept_free),
        .taken_bytes = taken_bytes_[worker]};
  }
  auto const& shard = plan_.shards[copy.copy.shard.value];
  return choose_stand_in(candidates, copy.copy.worker_index, shard.end - shard.begin);
}

bool StoreJob::holds_shard(std::size_t worker_index, ShardIndex shard) const {
  return std::ranges::any_of(before_.inventories, [&](WorkerInventory const& inventory) {
    return inventory.worker_index == worker_index &&
           std::ranges::any_of(inventory.refs, [&](HeldRef const& held) {
             return held.ref.key == request_.key && held.ref.name.shard == shard;
           });
  });
}

// --- header ---

void StoreJob::add_holder(std::size_t worker_index) {
  bool const is_known = std::ranges::any_of(
      holders_, [&](Holder const& holder) { return holder.worker_index == worker_index; });
  if (is_known) return;
  auto const number = header_push_->add_copy(client_of(worker_index));
  holders_.push_back({.worker_index = worker_index, .number = number});
  header_sends_.emplace_back(services_.executor);
  tasks_->spawn("send the header of " + request_.key.identity(), send_header(number));
}

Awaitable<void> StoreJob::send_header(std::size_t number) {
  auto result = Result<void>(ok());
  auto const run = [&]() -> Awaitable<void> { result = co_await header_push_->run_copy(number); };
  header_sends_[number].spawn("send a header", run());
  co_await header_sends_[number].wait();
  if (result.has_value()) co_return;
  if (header_push_->source_error()) stop_for(*header_push_->source_error());
  header_errors_.emplace(holders_[number].worker_index, result.error());
  if (header_errors_.size() < holders_.size() || stopped_for_) co_return;
  // Nobody read it, and the copies may be waiting to learn whether this file's content is new.
  auto const read = co_await header_push_->complete_list();
  if (read.has_error() && read.error().kind != ErrorKind::cancelled) stop_for(read.error());
}

// Those that keep a copy and have the header.
Result<void> StoreJob::choose_final_holders() {
  std::erase_if(holders_, [&](Holder const& holder) {
    return std::ranges::none_of(
        copies_, [&](CopyOutcome const& copy) { return copy.kept_by == holder.worker_index; });
  });
  auto const keepers_count = holders_.size();
  auto const wanted = holders_wanted();
  std::erase_if(holders_, [&](Holder const& holder) {
    auto const error = header_errors_.find(holder.worker_index);
    if (error == header_errors_.end()) return false;
    count_failed_try(services_, device(holder.worker_index));
    job_->add_line(lines::gave_up(device(holder.worker_index).rank, error->second.message, 0));
    return true;
  });
  if (holders_.size() >= wanted) return ok();
  return fail(ErrorKind::unavailable, "the header could not be sent to {} of {} workers",
              keepers_count - holders_.size(), keepers_count);
}

// --- the file ---

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
