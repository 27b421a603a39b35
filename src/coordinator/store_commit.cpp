// The last paragraph of a store: the manifest on every holder, which makes the generation visible.
#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/job_lines.h"
#include "coordinator/store_job.h"
#include "net/parallel.h"

namespace grove {

Awaitable<Result<void>> StoreJob::commit() {
  CO_TRY(auto const generation, co_await choice_->wait());
  manifest_ = choice_->repeated() ? *choice_->repeated() : build_manifest(generation);
  auto const text = serialize(*manifest_);
  auto const bytes = std::as_bytes(std::span(text));
  auto const digest = sha256(text);
  auto const lacking = co_await on_each_holder(
      [&](std::size_t, WorkerClient& worker) { return worker.put_manifest(digest, bytes); });
  if (lacking > 0) {
    co_return fail(ErrorKind::unavailable, "the manifest could not be sent to {} of {} workers",
                   lacking, holders_.size());
  }
  CO_TRY(co_await check_unchanged());
  Ref const ref{.key = request_.key, .generation = generation, .name = RefName{}, .target = digest};
  auto const uncommitted = co_await on_each_holder(
      [this, &ref](std::size_t holder, WorkerClient& worker) -> Awaitable<Result<void>> {
        CO_TRY(auto missing, co_await worker.put_ref(ref));
        if (missing.empty()) co_return ok();
        CO_TRY(co_await header_push_->push_missing(holder, std::move(missing)));
        CO_TRY(missing, co_await worker.put_ref(ref));
        if (missing.empty()) co_return ok();
        co_return fail(ErrorKind::internal, "{}: lost {} chunks of the header; check its disk",
                       worker.address().endpoint.text(), missing.size());
      });
  // Every copy is durable by now. As many manifests as copies keep the promise; fewer do not.
  // (With workers left out, as many as there are.)
  auto const wanted = std::min<std::size_t>(config_.redundancy, holders_.size());
  if (holders_.size() - uncommitted >= wanted) co_return ok();
  co_return fail(
      ErrorKind::unavailable, "the manifest could not be committed on {} of {} workers{}",
      uncommitted, holders_.size(),
      uncommitted < holders_.size()
          ? fmt::format("; a gather may give generation {} already: store again", generation.value)
          : std::string());
}

Awaitable<std::size_t> StoreJob::on_each_holder(HolderCall call) {
  std::size_t failed_count = 0;
  std::vector<Awaitable<void>> tasks;
  for (std::size_t holder = 0; holder < holders_.size(); ++holder) {
    tasks.push_back(on_holder(holder, call, failed_count));
  }
  co_await run_all(std::move(tasks));
  co_return failed_count;
}

Awaitable<void> StoreJob::on_holder(std::size_t holder, HolderCall const& call,
                                    std::size_t& failed_count) {
  auto worker = client_of(holders_[holder]);
  auto const rank = device(holders_[holder]).rank;
  std::size_t retries = 0;
  auto const attempt = [&]() -> Awaitable<Result<void>> {
    worker.move_to(address_of(device(holders_[holder])).endpoint);
    // One that was away when the store began has not said who it is yet.
    if (worker.address().id.empty()) {
      CO_TRY(co_await worker.health());
    }
    co_return co_await call(holder, worker);
  };
  auto const on_retry = [&](RetryNotice const& notice) {
    retries = notice.retry;
    count_failed_try(services_, device(holders_[holder]));
    look_for_workers();
    job_->add_line(lines::retry(rank, notice.retry, notice.delay, notice.error.message));
  };
  auto const result = co_await with_retries(attempt, on_retry);
  if (result.has_value()) co_return;
  ++failed_count;
  if (result.error().kind == ErrorKind::cancelled) co_return;
  count_failed_try(services_, device(holders_[holder]));
  job_->add_line(lines::gave_up(rank, result.error().message, retries));
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
                               .list = pushes_[index]->list_digest()});
  }
  return manifest;
}

}  // namespace grove
