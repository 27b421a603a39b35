#include "worker/upkeep_calls.h"

#include <charconv>
#include <chrono>
#include <functional>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/limits.h"
#include "base/wall_clock.h"
#include "transfer/worker_messages.h"
#include "worker/long_call.h"
#include "worker/upkeep.h"

namespace grove {
namespace {

std::string serialize(ScrubReport const& report) {
  nlohmann::json damaged = nlohmann::json::array();
  for (Digest const& digest : report.damaged) damaged.push_back(digest.hex());
  nlohmann::json const json = {
      {"chunks_read", report.chunks_read},       {"bytes_read", report.bytes_read},
      {"damaged", std::move(damaged)},           {"refs_verified", report.refs_verified},
      {"refs_not_whole", report.refs_not_whole}, {"missing", report.missing_count}};
  return json.dump();
}

std::string serialize(SweepReport const& report) {
  nlohmann::json const json = {{"chunks_removed", report.chunks_removed},
                               {"bytes_removed", report.bytes_removed},
                               {"objects_removed", report.objects_removed},
                               {"refs_dropped", report.refs_dropped}};
  return json.dump();
}

// A person waits for a scrub of everything; nobody for one of what is due, so that one is paced.
Result<ScrubScope> scope_of(HttpRequest const& request) {
  auto const text = request.param("unverified_for_ms");
  if (!text) return ScrubScope{};
  std::int64_t period_ms = 0;
  auto const* const end = text->data() + text->size();
  auto const [rest, error] = std::from_chars(text->data(), end, period_ms);
  if (error != std::errc() || rest != end || period_ms < 0) {
    return fail(ErrorKind::invalid, "unverified_for_ms: must be a whole number of milliseconds");
  }
  return ScrubScope{.unverified_since_ms = wall_clock_ms() - period_ms};
}

// A coordinator's watch asks every few seconds; one that has not for three times so long is gone.
constexpr auto coordinator_lasts = 3 * limits::watch_period;
constexpr std::size_t coordinators_max = 16;
constexpr std::size_t coordinator_bytes_max = 128;

void note_coordinator(Holdings& holdings, HttpRequest const& request) {
  auto const now = std::chrono::steady_clock::now();
  std::erase_if(holdings.coordinators,
                [&](auto const& entry) { return now - entry.second > coordinator_lasts; });
  auto const coordinator = request.param("coordinator").value_or("");
  bool const is_known = holdings.coordinators.contains(coordinator);
  bool const has_room = is_known || holdings.coordinators.size() < coordinators_max;
  if (coordinator.empty() || coordinator.size() > coordinator_bytes_max || !has_room) return;
  holdings.coordinators[coordinator] = now;
}

}  // namespace

Awaitable<Result<void>> get_health(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder) {
  note_coordinator(holdings, request);
  CO_TRY(auto const space, co_await holdings.offload.run([&]() -> Result<Space> {
    TRY(holdings.folder.check_mounted());
    return space_of(holdings.folder.root());
  }));
  auto const inventory = co_await holdings.offload.run([&] {
    auto digest = holdings.refs->inventory_digest();
    toggle(digest, holdings.pins->digest());
    return digest;
  });
  DeviceConfig const* device = find_worker(holdings.config, holdings.folder.rank());
  WorkerHealth health;
  health.rank = holdings.folder.rank();
  health.id = holdings.folder.id();
  health.host = device == nullptr ? std::string{} : device->host;
  health.version = GROVE_VERSION;
  health.format = DataFolder::format_version;
  health.free_bytes = space.free_bytes;
  health.total_bytes = space.total_bytes;
  health.reserved_bytes = holdings.chunks.reserved_bytes();
  health.inventory = inventory.hex();
  health.is_draining = holdings.is_draining;
  health.clock_ms = wall_clock_ms();
  health.coordinators = holdings.coordinators.size();
  health.file_system = holdings.file_system;
  co_return co_await send_json(responder, serialize_health(health));
}

Awaitable<Result<void>> post_scrub(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder) {
  CO_TRY(auto const scope, scope_of(request));
  LongWork work = [&holdings, scope](LongCall& call) -> Awaitable<Result<std::string>> {
    std::function<bool()> const is_wanted = [&call] { return call.is_wanted(); };
    ScrubPace pace(holdings.transfers, is_wanted);
    bool const is_paced = scope.unverified_since_ms.has_value();
    ScrubGate const gate = [&](ScrubReport const& so_far) {
      return is_paced ? pace.wait_for_turn(so_far) : is_wanted();
    };
    CO_TRY(auto const report, co_await scrub_once(holdings, scope, gate, is_wanted));
    co_return serialize(report);
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

Awaitable<Result<void>> post_gc(Holdings& holdings, HttpRequest& request,
                                HttpResponder& responder) {
  if (auto const ended = request.param("end")) {
    std::ignore = holdings.leases.release(*ended);
    co_return co_await send_json(responder, R"({"ended":true})");
  }
  auto const released = request.param("release");
  LongWork work = [&holdings, &released](LongCall&) -> Awaitable<Result<std::string>> {
    auto collected = released ? release_once(holdings, *released) : sweep_once(holdings);
    CO_TRY(auto const report, co_await std::move(collected));
    co_return serialize(report);
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace grove
