// The last paragraph of a store: the manifest on every holder, which makes the generation visible.
#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "coordinator/job_lines.h"
#include "coordinator/store_job.h"

namespace grove {

Awaitable<Result<void>> StoreJob::commit() {
  CO_TRY(auto const generation, co_await choice_->wait());
  manifest_ = choice_->repeated() ? *choice_->repeated() : build_manifest(generation);
  auto const text = serialize(*manifest_);
  auto const bytes = bytes_of(text);
  auto const digest = sha256(text);
  auto const keepers_count = holders_.size();
  auto const wanted = holders_wanted();
  co_await on_each_holder(
      [&](Holder const&, WorkerClient& worker) { return worker.put_manifest(digest, bytes); });
  if (holders_.size() < wanted) {
    co_return fail(ErrorKind::unavailable, "the manifest could not be sent to {} of {} workers",
                   keepers_count - holders_.size(), keepers_count);
  }
  CO_TRY(co_await check_unchanged());
  Ref const ref{.key = request_.key, .generation = generation, .name = RefName{}, .target = digest};
  has_begun_commit_ = true;
  co_await on_each_holder(
      [this, &ref](Holder const& holder, WorkerClient& worker) -> Awaitable<Result<void>> {
        CO_TRY(auto missing, co_await worker.put_ref(ref));
        if (missing.empty()) co_return ok();
        CO_TRY(co_await header_push_->push_missing(holder.number, std::move(missing)));
        CO_TRY(missing, co_await worker.put_ref(ref));
        if (missing.empty()) co_return ok();
        co_return fail(ErrorKind::internal, "{}: lost {} chunks of the header; check its disk",
                       worker.address().endpoint.text(), missing.size());
      });
  if (holders_.size() >= wanted) co_return ok();
  co_return fail(
      ErrorKind::unavailable, "the manifest could not be committed on {} of {} workers{}",
      keepers_count - holders_.size(), keepers_count,
      holders_.empty() ? std::string()
                       : fmt::format("; a gather may give generation {} already: store again",
                                     generation.value));
}

// Every copy is durable when this is asked. As many manifests as copies of a shard keep the
// promise; fewer do not. (With workers left out, as many as there are.)
std::size_t StoreJob::holders_wanted() const {
  std::set<std::size_t> keepers;
  for (auto const& copy : copies_) {
    if (copy.kept_by) keepers.insert(*copy.kept_by);
  }
  return std::min<std::size_t>(config_.redundancy, keepers.size());
}

// One call on all holders.
struct StoreJob::HolderRound {
  HolderCall call;
  TaskGroup tasks;
  std::size_t wanted = 0;
  std::size_t total = 0;
  std::size_t ended_count = 0;
  std::set<std::size_t> done = {};   // indexes into holders_
  std::set<std::size_t> stuck = {};  // that are not done, and are down or have failed twice

  void look() {
    bool const is_enough = done.size() >= wanted && done.size() + stuck.size() == total;
    if (is_enough || ended_count == total) tasks.cancel();
  }
};

Awaitable<void> StoreJob::on_each_holder(HolderCall call) {
  HolderRound round{.call = std::move(call),
                    .tasks = TaskGroup(services_.executor),
                    .wanted = holders_wanted(),
                    .total = holders_.size()};
  for (std::size_t index = 0; index < holders_.size(); ++index) {
    round.tasks.spawn("tell a holder of " + request_.key.identity(), on_holder(round, index));
  }
  round.tasks.spawn("heed the watch", heed_watch_of(round));
  co_await round.tasks.wait();
  std::vector<Holder> done;
  for (auto const index : round.done) done.push_back(holders_[index]);
  holders_ = std::move(done);
}

Awaitable<void> StoreJob::heed_watch_of(HolderRound& round) {
  for (;;) {
    for (std::size_t index = 0; index < holders_.size(); ++index) {
      bool const is_done = round.done.contains(index);
      if (!is_done && has_gone(holders_[index].worker_index)) {
        round.stuck.insert(index);
      }
    }
    round.look();
    std::ignore = co_await services_.presences.changed().wait();
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return;
  }
}

Awaitable<void> StoreJob::on_holder(HolderRound& round, std::size_t index) {
  auto const holder = holders_[index];
  auto worker = client_of(holder.worker_index);
  auto const& to = device(holder.worker_index);
  std::size_t retries = 0;
  auto const attempt = [&]() -> Awaitable<Result<void>> {
    worker.move_to(address_of(to).endpoint);
    // One that was away when the store began has not said who it is yet.
    if (worker.address().id.empty()) {
      CO_TRY(co_await worker.health());
    }
    co_return co_await round.call(holder, worker);
  };
  auto const on_retry = [&](RetryNotice const& notice) {
    retries = notice.retry;
    count_failed_try(services_, to);
    look_for_workers();
    job_->add_line(lines::retry(to.rank, notice.retry, notice.delay, notice.error.message));
    if (notice.retry < 2) return;
    round.stuck.insert(index);
    round.look();
  };
  auto const result = co_await with_retries(attempt, on_retry);
  ++round.ended_count;
  round.stuck.insert(index);
  if (result.has_value()) {
    round.stuck.erase(index);
    round.done.insert(index);
  }
  round.look();
  if (result.has_value() || result.error().kind == ErrorKind::cancelled) co_return;
  count_failed_try(services_, to);
  job_->add_line(lines::gave_up(to.rank, result.error().message, retries));
}

Awaitable<Result<void>> StoreJob::check_unchanged() {
  auto const same = co_await services_.offload.run([&]() -> Result<bool> {
    TRY(auto const open_file, source_->file().stamp());
    TRY(auto const at_path, stamp_beneath(config_.ckpt_root, request_.relative));
    return open_file == stamp_ && at_path == stamp_;
  });
  if (same.has_value() && same.value()) co_return ok();
  co_return changed_while_stored(request_.path);
}

Manifest StoreJob::build_manifest(Generation generation) const {
  GROVE_ASSERT(whole_file_ && header_push_->list());
  Manifest manifest;
  manifest.identity = request_.key.identity();
  manifest.generation = generation;
  manifest.kind = plan_.kind;
  manifest.file_bytes = plan_.file_bytes;
  manifest.header_bytes = plan_.header_bytes;
  manifest.tensors_count = plan_.tensors_count;
  manifest.mtime_ns = stamp_.mtime_ns;
  manifest.mode = stamp_.mode;
  manifest.redundancy = config_.redundancy;
  manifest.sha256 = *whole_file_;
  manifest.header_list = header_push_->list_digest();
  for (std::size_t index = 0; index < plan_.shards.size(); ++index) {
    auto const& shard = plan_.shards[index];
    manifest.shards.push_back({.begin = shard.begin,
                               .end = shard.end,
                               .tensors_count = shard.tensors_count,
                               .list = shards_[index].push->list_digest()});
  }
  return manifest;
}

}  // namespace grove
