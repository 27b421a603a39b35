#include "coordinator/api.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "coordinator/discovery.h"
#include "coordinator/job_lines.h"
#include "coordinator/keeping_calls.h"
#include "coordinator/overview_json.h"
#include "coordinator/upkeep_calls.h"
#include "coordinator/verify_checkpoint.h"
#include "format/ref.h"

namespace grove {
namespace {

constexpr char const* plain_text = "text/plain; charset=utf-8";
constexpr char const* json_type = "application/json";

Awaitable<Result<void>> refuse_parameter(HttpResponder& responder, std::string detail) {
  auto body = nlohmann::json{{"detail", std::move(detail)}}.dump();
  co_return co_await responder.send_text(422, json_type, std::move(body));
}

Awaitable<Result<void>> refuse_generation(HttpResponder& responder, std::string const& text) {
  co_return co_await refuse_parameter(responder, "generation must be a whole number: " + text);
}

// "1,3": leaves only the workers of these ranks in the config.
Result<void> keep_ranks(std::string_view text, Config& config) {
  std::set<Rank> ranks;
  while (true) {
    auto const comma = std::min(text.find(','), text.size());
    Rank rank;
    auto const [end, error] = std::from_chars(text.data(), text.data() + comma, rank.value);
    bool const is_number = error == std::errc() && end == text.data() + comma;
    if (!is_number || find_worker(config, rank) == nullptr) {
      return fail(ErrorKind::invalid, "ranks: \"{}\" is no worker's rank",
                  printable(text.substr(0, comma)));
    }
    ranks.insert(rank);
    if (comma == text.size()) break;
    text.remove_prefix(comma + 1);
  }
  std::erase_if(config.workers, [&](DeviceConfig const& d) { return !ranks.contains(d.rank); });
  return ok();
}

}  // namespace

Api::Api(std::filesystem::path config_path, Services& services, Jobs& jobs, Overview& overview,
         Repair& repair, Drills& drills)
    : config_path_(std::move(config_path)),
      services_(services),
      jobs_(jobs),
      overview_(overview),
      repair_(repair),
      drills_(drills) {}

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
  auto ckpt_path = request.param("ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, "ckpt_path is required");
  StoreOptions options;
  if (auto const text = request.param("generation")) {
    auto const generation = parse_generation(*text);
    if (generation.has_error()) co_return co_await refuse_generation(responder, *text);
    options.only_into = generation.value();
  }
  auto job = co_await start_store(std::move(*ckpt_path), options);
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
  auto ckpt_path = request.param("ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, "ckpt_path is required");
  GatherOptions options;
  if (auto const output = request.param("output")) options.output = *output;
  if (auto const text = request.param("generation")) {
    auto const generation = parse_generation(*text);
    if (generation.has_error()) co_return co_await refuse_generation(responder, *text);
    options.generation = generation.value();
  }
  auto job = co_await start_gather(std::move(*ckpt_path), std::move(options));
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
  if (auto ckpt_path = request.param("ckpt_path")) {
    co_return co_await list_checkpoint(std::move(*ckpt_path), responder);
  }
  CO_TRY(auto config, co_await read_config());
  auto const detail =
      request.param("brief") == "true" ? Overview::Detail::brief : Overview::Detail::all;
  auto body = co_await overview_.checkpoints(std::move(config), detail);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::list_checkpoint(std::string ckpt_path, HttpResponder& responder) {
  CO_TRY(auto config, co_await read_config());
  CO_TRY(auto request,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); }));
  auto const stamp = co_await services_.offload.run(
      [&] { return stamp_beneath(config.ckpt_root, request.relative); });
  std::optional<FileStamp> file;
  if (stamp.has_value()) file = stamp.value();
  auto body = co_await overview_.checkpoint(std::move(config), std::move(request.key), file);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::forget_checkpoint(HttpRequest& request, HttpResponder& responder) {
  CO_TRY(auto config, co_await read_config());
  if (!request.args().empty()) {
    CO_TRY(auto key, CheckpointKey::parse(request.args().front()));
    co_return co_await delete_checkpoint(services_, jobs_, std::move(config), std::move(key),
                                         request, responder);
  }
  auto const ckpt_path = request.param("ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, "ckpt_path is required");
  CO_TRY(auto resolved,
         co_await services_.offload.run([&] { return resolve_checkpoint(config, *ckpt_path); }));
  co_return co_await delete_checkpoint(services_, jobs_, std::move(config), std::move(resolved.key),
                                       request, responder);
}

Awaitable<Result<void>> Api::pin(HttpRequest& request, HttpResponder& responder) {
  auto const ckpt_path = request.param("ckpt_path");
  if (!ckpt_path) co_return co_await refuse_parameter(responder, "ckpt_path is required");
  auto const pinned = request.param("pinned").value_or("true");
  if (pinned != "true" && pinned != "false") {
    co_return co_await refuse_parameter(responder, "pinned must be true or false: " + pinned);
  }
  CO_TRY(auto config, co_await read_config());
  auto resolved =
      co_await services_.offload.run([&] { return resolve_checkpoint(config, *ckpt_path); });
  auto line = resolved.has_error() ? lines::error(resolved.error().message) : std::string();
  if (line.empty()) {
    line = co_await pin_checkpoint(services_, std::move(config), std::move(resolved.value().key),
                                   pinned == "true");
  }
  co_return co_await responder.send_text(200, plain_text, line + "\n");
}

Awaitable<Result<void>> Api::drain(HttpRequest& request, HttpResponder& responder) {
  auto const text = request.param("rank");
  if (!text) co_return co_await refuse_parameter(responder, "rank is required");
  auto const undo = request.param("undo").value_or("false");
  if (undo != "true" && undo != "false") {
    co_return co_await refuse_parameter(responder, "undo must be true or false: " + undo);
  }
  CO_TRY(auto config, co_await read_config());
  auto chosen = config;
  auto const kept = keep_ranks(*text, chosen);
  if (kept.has_error()) co_return co_await refuse_parameter(responder, kept.error().message);
  if (chosen.workers.size() != 1) {
    co_return co_await refuse_parameter(responder, "rank: give one worker's rank");
  }
  auto const rank = chosen.workers.front().rank;
  if (undo == "false") {
    co_return co_await stream(repair_.drain(std::move(config), rank), responder);
  }
  auto line = co_await undo_drain(services_, std::move(config), rank);
  co_return co_await responder.send_text(200, plain_text, line + "\n");
}

Awaitable<Result<void>> Api::list_workers(HttpRequest& request, HttpResponder& responder) {
  CO_TRY(auto config, co_await read_config());
  auto const copies =
      request.param("copies") == "false" ? Overview::Copies::left_out : Overview::Copies::counted;
  auto body = co_await overview_.workers(std::move(config), copies);
  co_return co_await responder.send_text(200, json_type, std::move(body));
}

Awaitable<Result<void>> Api::discover_workers(HttpRequest& request, HttpResponder& responder) {
  auto timeout = discovery_timeout_default;
  if (auto const text = request.param("timeout")) {
    auto const given = parse_discovery_timeout(*text);
    if (given.has_error()) co_return co_await refuse_parameter(responder, given.error().message);
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
  auto resolved =
      co_await services_.offload.run([&] { return resolve_checkpoint(config, ckpt_path); });
  if (resolved.has_error()) {
    auto line = lines::error(resolved.error().message) + "\n";
    co_return co_await responder.send_text(200, plain_text, std::move(line));
  }
  auto key = std::move(resolved.value().key);
  co_return co_await stream_checkpoint_verification(services_, std::move(config), std::move(key),
                                                    responder);
}

Awaitable<Result<void>> Api::verify(HttpRequest& request, HttpResponder& responder) {
  if (auto ckpt_path = request.param("ckpt_path")) {
    co_return co_await verify_one(std::move(*ckpt_path), responder);
  }
  std::optional<std::chrono::milliseconds> unproven_for;
  if (auto const text = request.param("unproven_for")) {
    auto const period = parse_period(*text);
    if (period.has_error()) {
      co_return co_await refuse_parameter(responder, "unproven_for: " + period.error().message);
    }
    unproven_for = period.value();
  }
  CO_TRY(auto config, co_await read_config());
  if (auto const text = request.param("ranks")) {
    auto const kept = keep_ranks(*text, config);
    if (kept.has_error()) co_return co_await refuse_parameter(responder, kept.error().message);
  }
  co_return co_await stream_verification(services_, std::move(config), unproven_for, responder);
}

Awaitable<Result<void>> Api::repair(HttpRequest& request, HttpResponder& responder) {
  auto const dry_run = request.param("dry_run").value_or("false");
  if (dry_run != "true" && dry_run != "false") {
    co_return co_await refuse_parameter(responder, "dry_run must be true or false: " + dry_run);
  }
  CO_TRY(auto config, co_await read_config());
  if (dry_run == "false") {
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
    CO_TRY(auto request,
           co_await services_.offload.run([&] { return resolve_checkpoint(config, *ckpt_path); }));
    options.only = std::move(request.key);
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
