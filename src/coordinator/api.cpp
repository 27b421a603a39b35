#include "coordinator/api.h"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "coordinator/discovery.h"
#include "coordinator/forget.h"
#include "coordinator/job_lines.h"
#include "coordinator/keeping_calls.h"
#include "coordinator/overview_json.h"
#include "coordinator/parameters.h"
#include "coordinator/upkeep_calls.h"
#include "coordinator/verify_checkpoint.h"

namespace grove {
namespace {

constexpr char const* plain_text = "text/plain; charset=utf-8";
constexpr char const* json_type = "application/json";

// Leaves only the workers of these ranks in the config.
void keep_ranks(std::set<Rank> const& ranks, Config& config) {
  std::erase_if(config.workers, [&](DeviceConfig const& d) { return !ranks.contains(d.rank); });
}

}  // namespace

Api::Api(std::filesystem::path config_path, Services& services, Jobs& jobs, Overview& overview,
         Repair& repair, Drills& drills, FileDigests& digests)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      repair_(repair),
      drills_(drills),
      digests_(digests) {}

HttpRouter Api::router() {
  HttpRouter router;
  auto const add = [&](http::verb method, std::string pattern, Handler handler) {
    router.add(method, std::move(pattern),
               [this, handler](HttpRequest& request, HttpResponder& responder) {
                 return (this->*handler)(request, responder);
               });
  };
  add(http::verb::post, "/store-shard", &Api::store_shard);
  add(http::verb::post, "/gather-shards", &Api::gather_shards);
  add(http::verb::get, "/checkpoints", &Api::list_checkpoints);
  add(http::verb::delete_, "/checkpoints", &Api::forget_checkpoint);
  add(http::verb::delete_, "/checkpoints/{}", &Api::forget_checkpoint);
  add(http::verb::post, "/pin", &Api::pin);
  add(http::verb::post, "/drain", &Api::drain);
  add(http::verb::get, "/workers", &Api::list_workers);
  add(http::verb::get, "/discover", &Api::discover_workers);
  add(http::verb::put, "/expected", &Api::put_expected);
  add(http::verb::post, "/verify", &Api::verify);
  add(http::verb::post, "/repair", &Api::repair);
  add(http::verb::post, "/drill", &Api::drill);
  add(http::verb::get, "/drill", &Api::last_drill);
  add(http::verb::get, "/health", &Api::get_health);
  add(http::verb::get, "/jobs", &Api::list_jobs);
  add(http::verb::get, "/jobs/{}", &Api::follow_job);
  return router;
}

Awaitable<Result<Config>> Api::read_config() {
  auto config = co_await services_.offload.run([&] { return load_config(config_path_); });
  if (config.has_value()) {
    for (auto const& notice : config.value().notices) {
      if (std::find(notices_told_.begin(), notices_told_.end(), notice) != notices_told_.end()) {
        continue;
      }
      notices_told_.push_back(notice);
      spdlog::warn("{}", notice);
    }
  }
  co_return config;
}

Awaitable<Result<void>> Api::store_shard(HttpRequest& request, HttpResponder& responder) {
  auto ckpt_path = required_param(request, "ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, ckpt_path.error());
  auto const generation = generation_param(request);
  if (!generation) co_return co_await refuse_parameter(responder, generation.error());
  StoreOptions options;
  options.only_into = generation.value();
  auto job = co_await start_store(std::move(ckpt_path).value(), options);
  co_return co_await stream_or_error(std::move(job), responder);
}

Awaitable<Result<std::shared_ptr<Job>>> Api::start_store(std::string ckpt_path,
                                                         StoreOptions options) {
  CO_TRY(auto config, co_await read_config());
  CO_TRY(auto request,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); }));
  auto stamp = co_await services_.offload.run(
      [&] { return stamp_beneath(config.ckpt_root, request.relative); });
  std::optional<FileStamp> known;
  if (stamp.has_value()) known = stamp.value();
  co_return jobs_.store(std::move(config), std::move(request), known, options);
}

Awaitable<Result<void>> Api::gather_shards(HttpRequest& request, HttpResponder& responder) {
  auto ckpt_path = required_param(request, "ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, ckpt_path.error());
  auto const generation = generation_param(request);
  if (!generation) co_return co_await refuse_parameter(responder, generation.error());
  GatherOptions options;
  if (auto const output = request.param("output")) options.output = *output;
  options.generation = generation.value();
  auto job = co_await start_gather(std::move(ckpt_path).value(), std::move(options));
  co_return co_await stream_or_error(std::move(job), responder);
}

Awaitable<Result<std::shared_ptr<Job>>> Api::start_gather(std::string ckpt_path,
                                                          GatherOptions options) {
  CO_TRY(auto config, co_await read_config());
  CO_TRY(auto request,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); }));
  co_return jobs_.gather(std::move(config), std::move(request), std::move(options));
}

Awaitable<Result<void>> Api::stream_or_error(Result<std::shared_ptr<Job>> job,
                                             HttpResponder& responder) {
  if (job.has_value()) co_return co_await stream(std::move(job).value(), responder);
  auto line = lines::error(job.error().message) + "\n";
  co_return co_await responder.send_text(200, plain_text, std::move(line));
}

Awaitable<Result<void>> Api::stream(std::shared_ptr<Job> job, HttpResponder& responder) {
  CO_TRY(co_await responder.start(200, plain_text, std::nullopt, {}));
  std::size_t next = 0;
  while (true) {
    std::string text;
    for (; next < job->lines().size(); ++next) text += job->lines()[next] + "\n";
    if (!text.empty()) {
      CO_TRY(co_await responder.write_text(std::move(text)));
      continue;
    }
    if (job->is_finished()) break;
    bool const go_on = co_await job->wait_beyond(next);
    if (!go_on) co_return fail(ErrorKind::cancelled, "the stream was cut");
  }
  co_return co_await responder.finish();
}

Awaitable<Result<void>> Api::list_checkpoints(HttpRequest& request, HttpResponder& responder) {
  auto const brief = flag_param(request, "brief");
  if (!brief) co_return co_await refuse_parameter(responder, brief.error());
  if (auto ckpt_path = request.param("ckpt_path")) {
    co_return co_await list_checkpoint(std::move(*ckpt_path), responder);
  }
  CO_TRY(auto config, co_await read_config());
  auto const detail =
      brief.value().value_or(false) ? Overview::Detail::brief : Overview::Detail::all;
  auto body = co_await overview_.checkpoints(std::move(config), detail);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::list_checkpoint(std::string ckpt_path, HttpResponder& responder) {
  CO_TRY(auto const config, co_await read_config());
  CO_TRY(auto const request,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); }));
  auto const stamp = co_await services_.offload.run(
      [&] { return stamp_beneath(config.ckpt_root, request.relative); });
  // One that cannot be looked at may have been written over: only what is not there is gone.
  if (stamp.has_error() && stamp.error().kind != ErrorKind::not_found) co_return stamp.error();
  auto const found = co_await overview_.checkpoint(config, request.key);
  std::optional<OwnFile> file;
  if (stamp.has_value()) {
    file = OwnFile{.stamp = stamp.value(), .is_read = false, .sha256 = {}};
    file->is_read = may_be_touched_only(found.reports, file->stamp);
  }
  if (file && file->is_read) {
    CO_TRY(file->sha256, co_await digests_.of(config.ckpt_root, request.relative, file->stamp));
  }
  co_return co_await responder.send_text(200, json_type,
                                         checkpoint_json(found.reports, found.view, file));
}

Awaitable<Result<void>> Api::forget_checkpoint(HttpRequest& request, HttpResponder& responder) {
  auto const generation = generation_param(request);
  if (!generation) co_return co_await refuse_parameter(responder, generation.error());
  auto const force = flag_param(request, "force");
  if (!force) co_return co_await refuse_parameter(responder, force.error());
  bool const is_named = !request.args().empty();  // by its identity
  auto const ckpt_path =
      is_named ? Result<std::string>(std::string()) : required_param(request, "ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, ckpt_path.error());
  CO_TRY(auto config, co_await read_config());
  auto key = Result<CheckpointKey>(Error{});
  if (is_named) {
    key = CheckpointKey::parse(request.args().front());
  } else {
    key = co_await key_of(config, ckpt_path.value());
  }
  if (key.has_error()) co_return key.error();
  ForgetRequest wanted{.key = std::move(key).value(),
                       .only = generation.value(),
                       .force = force.value().value_or(false)};
  CO_TRY(auto const forgotten,
         co_await forget_as_asked(services_, jobs_, std::move(config), std::move(wanted)));
  co_return co_await responder.send_text(200, plain_text, "Done: " + forgotten + "\n");
}

Awaitable<Result<CheckpointKey>> Api::key_of(Config const& config, std::string const& ckpt_path) {
  CO_TRY(auto request,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); }));
  co_return std::move(request.key);
}

Awaitable<Result<void>> Api::pin(HttpRequest& request, HttpResponder& responder) {
  auto const ckpt_path = required_param(request, "ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, ckpt_path.error());
  auto const pinned = flag_param(request, "pinned");
  if (!pinned) co_return co_await refuse_parameter(responder, pinned.error());
  CO_TRY(auto config, co_await read_config());
  auto key = co_await key_of(config, ckpt_path.value());
  std::string line;
  if (key.has_error()) {
    line = lines::error(key.error().message);
  } else {
    line = co_await pin_checkpoint(services_, std::move(config), std::move(key).value(),
                                   pinned.value().value_or(true));
  }
  co_return co_await responder.send_text(200, plain_text, line + "\n");
}

Awaitable<Result<void>> Api::drain(HttpRequest& request, HttpResponder& responder) {
  auto const text = required_param(request, "rank");
  if (!text) co_return co_await refuse_parameter(responder, text.error());
  auto const undo = flag_param(request, "undo");
  if (!undo) co_return co_await refuse_parameter(responder, undo.error());
  CO_TRY(auto config, co_await read_config());
  auto const ranks = parse_ranks(text.value(), config);
  if (!ranks) co_return co_await refuse_parameter(responder, ranks.error());
  if (ranks.value().size() != 1) {
    co_return co_await refuse_parameter(responder,
                                        fail(ErrorKind::invalid, "rank: give one worker's rank"));
  }
  auto const rank = *ranks.value().begin();
  if (!undo.value().value_or(false)) {
    co_return co_await stream(repair_.drain(std::move(config), rank), responder);
  }
  auto line = co_await undo_drain(services_, std::move(config), rank);
  co_return co_await responder.send_text(200, plain_text, line + "\n");
}

Awaitable<Result<void>> Api::list_workers(HttpRequest& request, HttpResponder& responder) {
  auto const wanted = flag_param(request, "copies");
  if (!wanted) co_return co_await refuse_parameter(responder, wanted.error());
  CO_TRY(auto config, co_await read_config());
  auto const copies =
      wanted.value().value_or(true) ? Overview::Copies::counted : Overview::Copies::left_out;
  auto body = co_await overview_.workers(std::move(config), copies);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::discover_workers(HttpRequest& request, HttpResponder& responder) {
  auto timeout = discovery_timeout_default;
  if (auto const text = request.param("timeout")) {
    auto const given = parse_discovery_timeout(*text);
    if (given.has_error()) co_return co_await refuse_parameter(responder, given.error());
    timeout = given.value();
  }
  CO_TRY(auto const config, co_await read_config());
  CO_TRY(auto* const mdns, services_.neighbours.mdns());
  auto const limit = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  CO_TRY(auto const workers, co_await discover(services_, *mdns, config, limit));
  co_return co_await responder.send_text(200, json_type, serialize_workers(workers));
}

Awaitable<Result<void>> Api::put_expected(HttpRequest& request, HttpResponder& responder) {
  CO_TRY(auto const list, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto config, co_await read_config());
  auto body = co_await tell_expected(services_, std::move(config), list.span());
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::verify_one(std::string ckpt_path, HttpResponder& responder) {
  CO_TRY(auto config, co_await read_config());
  auto key = co_await key_of(config, ckpt_path);
  if (key.has_error()) {
    auto line = lines::error(key.error().message) + "\n";
    co_return co_await responder.send_text(200, plain_text, std::move(line));
  }
  co_return co_await stream_checkpoint_verification(services_, std::move(config),
                                                    std::move(key).value(), responder);
}

Awaitable<Result<void>> Api::verify(HttpRequest& request, HttpResponder& responder) {
  if (auto ckpt_path = request.param("ckpt_path")) {
    co_return co_await verify_one(std::move(*ckpt_path), responder);
  }
  std::optional<std::chrono::milliseconds> unproven_for;
  if (auto const text = request.param("unproven_for")) {
    auto const period = parse_period(*text);
    if (period.has_error()) {
      co_return co_await refuse_parameter(
          responder, fail(ErrorKind::invalid, "unproven_for: {}", period.error().message));
    }
    unproven_for = period.value();
  }
  CO_TRY(auto config, co_await read_config());
  if (auto const text = request.param("ranks")) {
    auto const ranks = parse_ranks(*text, config);
    if (!ranks) co_return co_await refuse_parameter(responder, ranks.error());
    keep_ranks(ranks.value(), config);
  }
  co_return co_await stream_verification(services_, std::move(config), unproven_for, responder);
}

Awaitable<Result<void>> Api::repair(HttpRequest& request, HttpResponder& responder) {
  auto const dry_run = flag_param(request, "dry_run");
  if (!dry_run) co_return co_await refuse_parameter(responder, dry_run.error());
  CO_TRY(auto config, co_await read_config());
  if (!dry_run.value().value_or(false)) {
    co_return co_await stream(repair_.run_now(std::move(config)), responder);
  }
  auto const steps = co_await repair_.dry_run(std::move(config));
  auto text = steps.has_value() ? steps.value() + "Done: nothing was changed\n"
                                : lines::error(steps.error().message) + "\n";
  co_return co_await responder.send_text(200, plain_text, std::move(text));
}

Awaitable<Result<void>> Api::drill(HttpRequest& request, HttpResponder& responder) {
  auto job = co_await start_drill(request.param("ckpt_path"), request.param("scratch"));
  co_return co_await stream_or_error(std::move(job), responder);
}

Awaitable<Result<std::shared_ptr<Job>>> Api::start_drill(std::optional<std::string> ckpt_path,
                                                         std::optional<std::string> scratch) {
  CO_TRY(auto config, co_await read_config());
  DrillOptions options;
  if (scratch) options.scratch = *scratch;
  if (ckpt_path) {
    CO_TRY(options.only, co_await key_of(config, *ckpt_path));
  }
  co_return drills_.run(std::move(config), std::move(options));
}

Awaitable<Result<void>> Api::last_drill(HttpRequest&, HttpResponder& responder) {
  co_return co_await responder.send_text(200, json_type, drills_.last_json());
}

// Who this is, for whoever wonders which coordinator he has met (coordinator/doctor.h).
Awaitable<Result<void>> Api::get_health(HttpRequest&, HttpResponder& responder) {
  std::error_code error;
  auto const path = std::filesystem::absolute(config_path_, error);
  nlohmann::json const document = {{"coordinator", services_.coordinator_id},
                                   {"version", GROVE_VERSION},
                                   {"config", (error ? config_path_ : path).string()}};
  // A file name may hold bytes that are no UTF-8.
  auto body = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::list_jobs(HttpRequest&, HttpResponder& responder) {
  co_return co_await responder.send_text(200, json_type, jobs_json(jobs_.recent(), services_.http));
}

Awaitable<Result<void>> Api::follow_job(HttpRequest& request, HttpResponder& responder) {
  auto job = jobs_.find(request.args().front());
  if (!job) {
    co_return fail(ErrorKind::not_found, "no job {}; GET /jobs lists them", request.args().front());
  }
  co_return co_await stream(std::move(job), responder);
}

}  // namespace grove
