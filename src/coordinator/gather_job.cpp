#include "coordinator/gather_job.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/limits.h"
#include "coordinator/gather_output.h"
#include "coordinator/job_lines.h"
#include "coordinator/locate.h"
#include "format/shard_span.h"
#include "net/parallel.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

// Shards that are fetched side by side, each with its list in memory and its file open.
constexpr std::size_t shards_at_once = 16;

Error cancelled() {
  return fail(ErrorKind::cancelled, "the coordinator is stopping; gather the checkpoint again");
}

}  // namespace

GatherJob::GatherJob(Services& services, Config config, CheckpointRequest request,
                     GatherOptions options, std::shared_ptr<Job> job)
    : services_(services),
      config_(std::move(config)),
      request_(std::move(request)),
      options_(std::move(options)),
      job_(std::move(job)),
      search_(services, config_, [this](std::string line) { job_->add_line(std::move(line)); }),
      throttle_(bytes_per_second(config_.bandwidth_limit_mb_per_s)) {}

Awaitable<void> GatherJob::run() {
  job_->begin();
  auto const result = co_await restore();
  if (result.has_error()) {
    job_->fail_with(result.error());
  } else {
    job_->finish(lines::gather_done(output_));
  }
  co_await have_damage_looked_at();
}

Awaitable<Result<void>> GatherJob::restore() {
  CO_TRY(co_await choose_generation());
  CO_TRY(co_await choose_output());
  CO_TRY(co_await transfer());
  co_return co_await commit();
}

// Once for each worker: the rest of it is for the worker to find.
void GatherJob::note_damage(std::size_t worker_index) {
  auto const& worker = device(worker_index);
  services_.metrics.add(Count::damage_met, {fmt::to_string(worker.rank.value)});
  if (damaged_.insert(worker_index).second) {
    job_->add_line(lines::damage_met(worker.rank, worker.host));
  }
}

// A worker that did not notice itself reads its copies again, so that they are mended.
Awaitable<void> GatherJob::have_damage_looked_at() {
  for (auto const index : damaged_) {
    WorkerClient worker(services_.http, address_of(device(index)), job_->id());
    std::ignore = co_await worker.proven_inventory(request_.key, Reread::always);  // best effort
  }
}

// --- plan: which generation, from whom ---

Awaitable<Result<void>> GatherJob::choose_generation() {
  co_await search_.look();
  view_ = co_await survey(services_, config_, request_.key);
  for (auto const& member : view_.members) {
    if (!member.health && member.error.kind != ErrorKind::cancelled) {
      count_failed_try(services_, device(member.worker_index));
    }
  }
  if (view_.alive_count() == 0) {
    co_return fail(ErrorKind::unavailable, "no worker answers: {}", view_.summary());
  }
  for (auto& generation : generations_of(request_.key, view_.inventories)) {
    if (generation.manifests.empty()) continue;
    if (view_.has_forgotten(request_.key, generation.generation)) continue;
    generations_.push_back(std::move(generation));
  }
  auto const chosen =
      std::find_if(generations_.begin(), generations_.end(), [&](GenerationView const& g) {
        return !options_.generation || g.generation == *options_.generation;
      });
  if (chosen == generations_.end()) {
    auto const what = options_.generation
                          ? fmt::format("generation {} of ", options_.generation->value)
                          : std::string();
    co_return fail(ErrorKind::not_found, "{}{} is not stored on any worker that answers ({})", what,
                   request_.key.identity(), view_.summary());
  }
  auto manifest = co_await fetch_manifest(services_, config_, *chosen);
  if (manifest.has_error()) {
    auto const hint = co_await older_hint(chosen->generation);
    co_return fail(manifest.error().kind, "generation {} of {} cannot be had: {}{}",
                   chosen->generation.value, request_.key.identity(), manifest.error().message,
                   hint);
  }
  manifest_ = std::move(manifest).value();
  manifest_holders_ = chosen->manifest_holders;
  plan_ = plan_gather(manifest_, view_.inventories, config_.workers.size());
  // An empty shard that nobody has is no loss.
  std::erase_if(plan_.missing, [&](ShardIndex shard) {
    return manifest_.shards[shard.value].begin == manifest_.shards[shard.value].end;
  });
  job_->set_bytes_total(manifest_.file_bytes);
  if (plan_.missing.empty()) co_return ok();
  for (auto const shard : plan_.missing) {
    job_->add_line(lines::shard_failed(shard, "no worker that answers has it: " + view_.summary()));
  }
  auto const hint = co_await older_hint(manifest_.generation);
  co_return fail(ErrorKind::unavailable, "{}{}",
                 lines::shards_failed(plan_.missing.size(), plan_.shards.size()), hint);
}

// "; generation 17 cannot be had now, an older one can: generation=16", or nothing.
Awaitable<std::string> GatherJob::older_hint(Generation lost) {
  for (auto const& older : generations_) {
    if (older.generation >= lost) continue;
    auto const manifest = co_await fetch_manifest(services_, config_, older);
    if (manifest.has_error()) continue;
    auto const plan = plan_gather(manifest.value(), view_.inventories, config_.workers.size());
    if (!plan.missing.empty()) continue;
    co_return fmt::format("; generation {} cannot be had now, an older one can: generation={}",
                          lost.value, older.generation.value);
  }
  co_return std::string();
}

// --- plan: where to ---

Awaitable<Result<void>> GatherJob::choose_output() {
  auto use = ExtensionUse::alone;
  if (!options_.output &&
      request_.key.file_name() != "model" + std::string(request_.key.extension())) {
    auto const everything = co_await survey(services_, config_, std::nullopt);
    use = extension_use_on_workers(request_.key, everything);
  }
  auto chosen = co_await services_.offload.run([&]() {
    return options_.output ? check_output(*options_.output, manifest_)
                           : default_output(config_, request_, use, manifest_);
  });
  CO_TRY(output_, std::move(chosen));
  co_return ok();
}

std::string GatherJob::mark() const {
  return fmt::format("{}@{}", manifest_.identity, manifest_.generation.value);
}

// --- transfer ---

std::vector<Holder> GatherJob::holders_at(std::vector<std::size_t> const& worker_indexes) {
  std::vector<Holder> holders;
  for (auto const index : worker_indexes) {
    auto address = address_of(device(index));
    if (auto const& health = view_.members[index].health) address.id = health->id;
    holders.push_back({.worker_index = index,
                       .client = WorkerClient(services_.http, std::move(address), job_->id())});
  }
  return holders;
}

void GatherJob::tell_fallback(ShardIndex shard, std::size_t next, std::size_t failed) {
  job_->add_line(lines::trying_replica(device(next).rank, shard, device(failed).rank));
}

Awaitable<Result<void>> GatherJob::transfer() {
  CheckpointWriter::Options const options{.path = output_,
                                          .file_bytes = manifest_.file_bytes,
                                          .mode = manifest_.mode,
                                          .mtime_ns = manifest_.mtime_ns,
                                          .mark = mark()};
  CO_TRY(writer_,
         co_await services_.offload.run([&] { return CheckpointWriter::create(options); }));
  fetch_.emplace(Fetch::Options{
      .executor = services_.executor,
      .offload = services_.offload,
      .buffers = services_.buffers,
      .throttle = &throttle_,
      .on_failure = [this](std::size_t holder) { count_failed_try(services_, device(holder)); },
      .on_damage = [this](std::size_t holder) { note_damage(holder); },
      .on_bytes = [this](std::uint64_t bytes) { job_->add_bytes_done(bytes); }});
  auto result = co_await fetch_all();
  co_await fetch_->stop();
  co_return result;
}

Awaitable<Result<void>> GatherJob::fetch_all() {
  CO_TRY(co_await follow_holders(manifest_holders_, [this] { return fetch_header(); }));
  shards_.resize(manifest_.shards.size());
  std::vector<Awaitable<void>> lanes;
  for (std::size_t i = 0; i < std::min(shards_.size(), shards_at_once); ++i) {
    lanes.push_back(fetch_next_shards());
  }
  co_await run_all(std::move(lanes));
  if (stopped_for_) co_return *stopped_for_;
  bool const stopped = co_await is_cancelled();
  if (stopped) co_return cancelled();
  if (failed_count_ == 0) co_return ok();
  auto const hint = co_await older_hint(manifest_.generation);
  co_return fail(ErrorKind::unavailable, "{}{}",
                 lines::shards_failed(failed_count_, shards_.size()), hint);
}

Awaitable<Result<void>> GatherJob::fetch_header() {
  if (manifest_.header_bytes == 0) co_return ok();
  auto holders = holders_at(manifest_holders_);
  auto list = co_await fetch_->shard_list(manifest_.header_list, holders);
  Result<void> result = ok();
  if (list.has_error()) {
    result = std::move(list).error();
  } else {
    FetchTarget target{.sink = [this](std::span<std::byte const> raw,
                                      std::uint64_t offset) { return writer_->write(raw, offset); },
                       .on_replaced = [](std::size_t, std::size_t) {}};
    auto fetched = co_await fetch_->chunks(std::move(list).value(), holders, std::move(target));
    if (fetched.has_error()) result = std::move(fetched).error();
  }
  if (result.has_value() || result.error().kind != ErrorKind::unavailable) co_return result;
  auto const hint = co_await older_hint(manifest_.generation);
  co_return fail(ErrorKind::unavailable, "the header of generation {} cannot be had: {}{}",
                 manifest_.generation.value, result.error().message, hint);
}

Awaitable<Result<void>> GatherJob::follow_holders(std::vector<std::size_t> const& holders,
                                                  std::function<Awaitable<Result<void>>()> fetch) {
  std::vector<Endpoint> before;
  for (auto const holder : holders) before.push_back(address_of(device(holder)).endpoint);
  Result<void> result = co_await fetch();
  if (result.has_value() || result.error().kind != ErrorKind::unavailable) co_return result;
  co_await search_.look();
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (address_of(device(holders[i])).endpoint == before[i]) continue;
    result = co_await fetch();
    break;
  }
  co_return result;
}

Awaitable<void> GatherJob::fetch_next_shards() {
  while (next_shard_ < shards_.size() && !stopped_for_) {
    bool const stop = co_await is_cancelled();
    if (stop) co_return;
    ShardIndex const index{next_shard_++};
    auto result = co_await follow_holders(plan_.shards[index.value].holders,
                                          [this, index] { return fetch_shard(index); });
    if (result.has_error()) {
      if (result.error().kind == ErrorKind::cancelled) co_return;
      if (result.error().kind != ErrorKind::unavailable) {
        if (!stopped_for_) stopped_for_ = result.error();
        co_return;
      }
      ++failed_count_;
      job_->add_line(lines::shard_failed(index, result.error().message));
    }
    shards_[index.value].is_over = true;
    co_await announce_in_order();
  }
}

Awaitable<Result<void>> GatherJob::fetch_shard(ShardIndex index) {
  auto& shard = shards_[index.value];
  auto const& entry = manifest_.shards[index.value];
  auto holders = holders_at(plan_.shards[index.value].holders);
  if (holders.empty()) co_return ok();  // nothing in it, see choose_generation
  auto const primary = index.value % config_.workers.size();
  auto const first = holders.front().worker_index;
  if (first != primary) {  // the survey has found the primary away, or its copy damaged
    tell_fallback(index, first, primary);
  }
  CO_TRY(auto list, co_await fetch_->shard_list(entry.list, holders));
  if (config_.keep_shards) {
    CO_TRY(co_await open_shard_file(index));
  }
  FetchTarget target;
  target.sink = [this, &shard, &entry](std::span<std::byte const> raw,
                                       std::uint64_t offset) -> Result<void> {
    TRY(writer_->write(raw, offset));
    if (!shard.file) return ok();
    // A chunk on the border reaches beyond the shard.
    auto const begin = std::max(offset, entry.begin);
    auto const end = std::min(offset + raw.size(), entry.end);
    if (begin >= end) return ok();
    return shard.file->write(raw.subspan(begin - offset, end - begin),
                             shard.header_bytes + begin - entry.begin);
  };
  target.on_replaced = [this, index](std::size_t next, std::size_t failed) {
    tell_fallback(index, next, failed);
  };
  CO_TRY(shard.served_by,
         co_await fetch_->chunks(std::move(list), std::move(holders), std::move(target)));
  co_return ok();
}

Awaitable<Result<void>> GatherJob::open_shard_file(ShardIndex index) {
  auto& shard = shards_[index.value];
  auto const& entry = manifest_.shards[index.value];
  auto const& expected = device(plan_.shards[index.value].holders.front());
  co_return co_await services_.offload.run([&]() -> Result<void> {
    auto const opener = [this]() -> Result<ByteReader> {
      std::uint64_t offset = 0;
      return ByteReader([this, offset](std::span<std::byte> bytes) mutable -> Result<std::size_t> {
        auto const left = manifest_.header_bytes - offset;
        auto const piece = bytes.first(std::min<std::uint64_t>(bytes.size(), left));
        TRY(auto const count, writer_->read_at(piece, offset));
        offset += count;
        return count;
      });
    };
    auto const span = shard_span(manifest_, index);
    bool const has_header = manifest_.kind == CheckpointKind::safetensors;
    if (has_header) {
      TRY(shard.header_bytes, shard_header_bytes(opener, manifest_.file_bytes, span));
    }
    CheckpointWriter::Options const options{
        .path = shard_path(config_.shards_root, expected.rank, request_.key, index,
                           ShardOfWorker::lowest),
        .file_bytes = shard.header_bytes + entry.end - entry.begin,
        .mode = manifest_.mode,
        .mtime_ns = manifest_.mtime_ns,
        .mark = mark(),
        .make_folders = true};
    TRY(shard.file, CheckpointWriter::create(options));
    if (!has_header) return ok();
    std::uint64_t offset = 0;
    auto const sink = [&](std::span<std::byte const> bytes) -> Result<void> {
      TRY(shard.file->write(bytes, offset));
      offset += bytes.size();
      return ok();
    };
    TRY(write_shard_header(opener, manifest_.file_bytes, span, sink));
    return ok();
  });
}

// In the order of the shards: which of a worker's shards is its lowest, and so has the plain name,
// is only known once all lower ones are over.
Awaitable<void> GatherJob::announce_in_order() {
  if (is_announcing_) co_return;
  is_announcing_ = true;
  while (next_announced_ < shards_.size() && shards_[next_announced_].is_over && !stopped_for_) {
    ShardIndex const index{next_announced_++};
    auto& shard = shards_[index.value];
    if (!shard.served_by) continue;
    auto const& worker = device(*shard.served_by);
    if (!shard.file) {
      job_->add_line(lines::shard_served(index, worker.rank, worker.host));
      continue;
    }
    bool const is_lowest =
        std::none_of(shards_.begin(), shards_.begin() + index.value,
                     [&](Shard const& lower) { return lower.served_by == shard.served_by; });
    auto const path = shard_path(config_.shards_root, worker.rank, request_.key, index,
                                 is_lowest ? ShardOfWorker::lowest : ShardOfWorker::further);
    auto const committed = co_await services_.offload.run([&]() -> Result<void> {
      TRY(shard.file->redirect(path));
      return shard.file->commit();
    });
    shard.file.reset();
    if (committed.has_error()) {
      stopped_for_ = committed.error();
    } else {
      job_->add_line(lines::shard_saved(index, path));
    }
  }
  is_announcing_ = false;
}

// --- commit ---

Awaitable<Result<void>> GatherJob::commit() {
  job_->add_line(lines::merging(shards_.size(), output_));
  co_return co_await services_.offload.run([&]() -> Result<void> {
    // Somebody may have put a file of his own there meanwhile.
    TRY(check_output(output_, manifest_));
    return writer_->commit();
  });
}

}  // namespace grove
