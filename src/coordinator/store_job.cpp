#include "coordinator/store_job.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <tuple>
#include <utility>

#include "base/limits.h"
#include "base/wall_clock.h"
#include "coordinator/delta_source.h"
#include "coordinator/job_lines.h"
#include "coordinator/locate.h"
#include "format/safetensors.h"
#include "plan/next_generation.h"

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
      searching_(services.executor),
      throttle_(bytes_per_second(config_.bandwidth_limit_mb_per_s)) {}

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
  co_await give_back_room();
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
    copies_.push_back(
        {.copy = copy, .kept_by = {}, .is_left_out = false, .is_over = false, .sends = {}});
  }
  co_await find_earlier_generations();
  pass_over_draining();
  for (auto const& copy : copies_) {
    bool const is_known = std::ranges::any_of(holders_, [&](Holder const& holder) {
      return holder.worker_index == copy.copy.worker_index;
    });
    if (!is_known) holders_.push_back({.worker_index = copy.copy.worker_index, .number = 0});
  }
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
  std::erase_if(holders_, [&](Holder const& holder) { return is_silent(holder.worker_index); });
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
  surveyed_ = Presences::Clock::now();
  before_ = co_await survey(services_, config_, request_.key);
  auto const known = generations_of(request_.key, before_.inventories);
  std::optional<Generation> newest_known;
  std::optional<Manifest> newest_complete;
  for (auto const& tombstone : before_.tombstones) {
    if (tombstone.key != request_.key) continue;
    newest_known = std::max(newest_known, std::optional(tombstone.newest()));
  }
  for (auto const& generation : known) {
    newest_known = std::max(newest_known, std::optional(generation.generation));
    // What was forgotten on purpose is not taken up again: this store is a new one.
    if (generation.manifests.empty()) continue;
    if (before_.has_forgotten(request_.key, generation.generation)) continue;
    auto manifest = co_await fetch_manifest(services_, config_, generation);
    if (manifest.has_value()) newest_complete = std::move(manifest).value();
    break;
  }
  std::optional<Generation> fresh;
  if (!options_.only_into) {
    auto const clock_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, wall_clock_ms()));
    fresh = next_generation(newest_known, clock_ms, std::random_device()());
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

}  // namespace grove
