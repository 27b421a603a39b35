#include "coordinator/drill.h"

#include <algorithm>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/file.h"
#include "base/wall_clock.h"
#include "coordinator/checkpoint_request.h"
#include "coordinator/drill_scratch.h"
#include "coordinator/file_digests.h"
#include "coordinator/gather_job.h"
#include "coordinator/job_lines.h"
#include "coordinator/moved_workers.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

bool are_same(DrillOptions const& a, DrillOptions const& b) {
  return a.only == b.only && a.scratch == b.scratch;
}

// Not where it could not be made: not as it was asked for, without a scratch folder, or cut off.
// That nothing is there any more says the most.
bool tells_of_the_copies(Error const& error) {
  return error.kind != ErrorKind::invalid && error.kind != ErrorKind::exhausted &&
         error.kind != ErrorKind::cancelled;
}

Error cut_off() {
  return fail(ErrorKind::cancelled, "the coordinator is stopping; drill again when it runs");
}

std::size_t any_of(std::size_t count) {
  std::random_device chance;
  return std::uniform_int_distribution<std::size_t>(0, count - 1)(chance);
}

// From the disk: what the page cache still has is dropped.
Result<File> open_to_reread(fs::path const& path, std::uint64_t bytes) {
  // It has the mode of its source, which perhaps only a group could read.
  std::error_code ignored;
  fs::permissions(path, fs::perms::owner_read, fs::perm_options::add, ignored);
  TRY(auto file, File::open_readonly(path));
  file.drop_cache(0, bytes);
  file.will_read_in_order();
  return file;
}

}  // namespace

Drills::Drills(Services& services, Jobs& jobs, Overview& overview, std::optional<fs::path> kept_at)
    : services_(services),
      jobs_(jobs),
      overview_(overview),
      kept_at_(std::move(kept_at)),
      tasks_(services.executor) {
  if (!kept_at_) return;
  auto last = read_drill_result(*kept_at_);
  if (last.has_error()) {
    spdlog::warn("the last drill's result is not known: {}", last.error().message);
  } else if (last.value()) {
    show(std::move(*last.value()));
  }
}

std::shared_ptr<Job> Drills::run(Config config, DrillOptions options) {
  if (job_ && !job_->is_finished() && are_same(options, options_)) return job_;
  options_ = options;
  auto identity = options.only ? options.only->identity() : std::string("any checkpoint");
  job_ = jobs_.add(JobKind::drill, std::move(identity));
  job_->begin();
  tasks_.spawn("tell the progress of a drill", tell_progress(job_));
  tasks_.spawn("drill", carry_out(std::move(config), std::move(options), job_));
  return job_;
}

Awaitable<void> Drills::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

// Holds the job for as long as it runs.
Awaitable<void> Drills::tell_progress(std::shared_ptr<Job> job) {
  co_await job->report_progress();
}

Awaitable<void> Drills::carry_out(Config config, DrillOptions options, std::shared_ptr<Job> job) {
  DrillResult outcome;
  auto const result = co_await attempt(std::move(config), std::move(options), job, outcome);
  outcome.ended_ms = wall_clock_ms();
  outcome.is_exact = result.has_value();
  outcome.detail = result.has_value() ? "the exact bytes" : result.error().message;
  bool const stopped = co_await is_cancelled();
  if (result.has_error()) {
    if (!stopped && tells_of_the_copies(result.error())) co_await keep(std::move(outcome));
    job->fail_with(stopped ? cut_off() : result.error());
    co_return;
  }
  auto const key = CheckpointKey::parse(outcome.identity).value();
  auto line = lines::drill_done(key, outcome.bytes, outcome.time);
  co_await keep(std::move(outcome));
  job->finish(std::move(line));
}

void Drills::show(DrillResult result) {
  services_.metrics.set(Level::drill_time, static_cast<double>(result.ended_ms) / 1000);
  services_.metrics.set(Level::drill_duration, result.time.count());
  services_.metrics.set(Level::drill_ok, result.is_exact ? 1 : 0);
  last_ = std::move(result);
}

Awaitable<void> Drills::keep(DrillResult result) {
  show(result);
  if (!kept_at_) co_return;
  auto const kept =
      co_await services_.offload.run([&] { return keep_drill_result(*kept_at_, result); });
  if (kept.has_error()) {
    spdlog::warn("the drill's result is forgotten at the next start: {}", kept.error().message);
  }
}

Awaitable<Result<void>> Drills::attempt(Config config, DrillOptions options,
                                        std::shared_ptr<Job> job, DrillResult& outcome) {
  if (options.only) outcome.identity = options.only->identity();
  co_await follow_moved_workers(services_, config, LookUp::on_network,
                                [&](std::string line) { job->add_line(std::move(line)); });
  CO_TRY(auto choice, co_await choose(config, options));
  outcome.identity = choice.key.identity();
  auto created = co_await services_.offload.run([&]() -> Result<DrillScratch> {
    TRY(auto const places, scratch_places(config, options.scratch));
    return DrillScratch::create(places, choice.bytes);
  });
  CO_TRY(auto scratch, std::move(created));
  auto const path = scratch.folder() / "restored";
  job->add_line(lines::drill_begins(choice.key, path));
  auto const result =
      co_await restore(std::move(config), std::move(choice.key), path, job, outcome);
  auto const removed = co_await services_.offload.run([&] { return scratch.remove(); });
  if (removed.has_error()) job->add_line("  ✗ " + removed.error().message);
  co_return result;
}

Awaitable<Result<Drills::Choice>> Drills::choose(Config const& config,
                                                 DrillOptions const& options) {
  // Of all: the overview forgets the manifests of what it is not asked for.
  auto const view = co_await survey(services_, config, std::nullopt);
  if (view.alive_count() == 0) {
    co_return fail(ErrorKind::unavailable, "no worker answers: {}", view.summary());
  }
  auto complete = co_await overview_.complete_generations(config, view);
  // Of each checkpoint the newest, which comes first.
  auto const is_older = [](CompleteGeneration const& newer, CompleteGeneration const& next) {
    return newer.key == next.key;
  };
  complete.erase(std::unique(complete.begin(), complete.end(), is_older), complete.end());
  if (options.only) {
    auto const found = std::ranges::find(complete, *options.only, &CompleteGeneration::key);
    // What is not there the gather tells.
    auto const bytes = found == complete.end() ? 0 : found->manifest->file_bytes;
    co_return Choice{.key = *options.only, .bytes = bytes};
  }
  if (complete.empty()) {
    co_return fail(ErrorKind::not_found, "no complete checkpoint is stored ({})", view.summary());
  }
  auto const& chosen = complete[any_of(complete.size())];
  co_return Choice{.key = chosen.key, .bytes = chosen.manifest->file_bytes};
}

Awaitable<Result<void>> Drills::restore(Config config, CheckpointKey key, fs::path path,
                                        std::shared_ptr<Job> job, DrillResult& outcome) {
  config.keep_shards = false;
  CheckpointRequest request{
      .key = key, .path = config.ckpt_root / key.identity(), .relative = key.identity()};
  GatherOptions options;
  options.output = path;
  auto const begun = std::chrono::steady_clock::now();
  GatherJob gather(services_, std::move(config), std::move(request), std::move(options),
                   std::move(job));
  auto const restored = co_await gather.restore();
  outcome.time = std::chrono::steady_clock::now() - begun;
  outcome.generation = gather.manifest().generation;
  outcome.bytes = gather.manifest().file_bytes;
  co_await gather.have_damage_looked_at();
  if (restored.has_error()) {
    co_return fail(restored.error().kind, "{} cannot be restored: {}", outcome.identity,
                   restored.error().message);
  }
  co_return co_await compare(std::move(path), gather.manifest());
}

Awaitable<Result<void>> Drills::compare(fs::path path, Manifest const& manifest) {
  auto opened =
      co_await services_.offload.run([&] { return open_to_reread(path, manifest.file_bytes); });
  CO_TRY(auto const file, std::move(opened));
  CO_TRY(auto const found, co_await digest_of(services_.offload, file));
  if (found.bytes != manifest.file_bytes) {
    co_return fail(ErrorKind::corrupt, "the restored {} has {} bytes, and {} were stored",
                   manifest.identity, found.bytes, manifest.file_bytes);
  }
  if (found.sha256 != manifest.sha256) {
    co_return fail(ErrorKind::corrupt,
                   "the restored {} is not what was stored: its SHA-256 is {}, that of what was "
                   "stored {}",
                   manifest.identity, found.sha256.hex(), manifest.sha256.hex());
  }
  co_return ok();
}

}  // namespace grove
