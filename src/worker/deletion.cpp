#include "worker/deletion.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "worker/colleague.h"
#include "worker/long_call.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough for a person to notice that two coordinators run.
constexpr auto second_coordinator_after = std::chrono::minutes(10);
constexpr std::size_t coordinator_bytes_max = 128;

bool is_manifest(RefName const& name) {
  return !name.shard.has_value();
}

// What this worker holds of one generation.
struct Generations {
  bool has_manifest = false;
  bool has_shards = false;
};

Generations held_beside(RefStore const& refs, Ref const& ref) {
  Generations held;
  for (Ref const& other : refs.all_refs()) {
    if (other.key != ref.key || other.generation != ref.generation) continue;
    (is_manifest(other.name) ? held.has_manifest : held.has_shards) = true;
  }
  return held;
}

Awaitable<Result<void>> ask_witness(Holdings& holdings, WorkerAddress address, Ref ref) {
  CO_TRY(co_await check_colleague(holdings, address));
  WorkerClient witness(holdings.http, address, {});
  CO_TRY(co_await check_answers(witness));
  CO_TRY(auto const inventory, co_await witness.proven_inventory(ref.key, Reread::unless_recent));
  auto const proof = prove_by_inventory(ref, inventory);
  if (!proof) {
    co_return fail(proof.error().kind, "{}: {}", address.endpoint.text(), proof.error().message);
  }
  co_return ok();
}

Awaitable<Result<void>> ask_witnesses(Holdings& holdings, Ref ref,
                                      std::vector<WorkerAddress> witnesses) {
  for (WorkerAddress const& address : witnesses) {
    auto const proof = co_await ask_witness(holdings, address, ref);
    if (proof) continue;
    // Whatever the reason, the answer is "not proven"; only a witness that cannot be one is the
    // caller's mistake.
    bool const is_mistake = proof.error().kind == ErrorKind::invalid;
    co_return fail(is_mistake ? ErrorKind::invalid : ErrorKind::conflict,
                   "{} of {} generation {}: not proven: {}", ref.name.text(), ref.key.identity(),
                   ref.generation.value, proof.error().message);
  }
  co_return ok();
}

Awaitable<Result<void>> remove(Holdings& holdings, Ref ref, std::string coordinator) {
  CO_TRY(co_await holdings.commits.run(
      [&] { return holdings.refs->remove_ref(ref.key, ref.generation, ref.name); }));
  note_deletion(holdings, coordinator);
  spdlog::info("deleted {} of {} generation {} for coordinator {}", ref.name.text(),
               ref.key.identity(), ref.generation.value, coordinator);
  co_return ok();
}

}  // namespace

Result<std::string> deleting_coordinator(Holdings const& holdings, HttpRequest const& request) {
  auto const coordinator = request.param("coordinator").value_or("");
  if (coordinator.empty() || coordinator.size() > coordinator_bytes_max) {
    return fail(ErrorKind::invalid, "coordinator: must be 1 to {} bytes", coordinator_bytes_max);
  }
  auto const& last = holdings.last_deletion;
  if (last && last->coordinator != coordinator &&
      Clock::now() - last->time < second_coordinator_after) {
    return fail(ErrorKind::conflict,
                "deletion: another coordinator ({}) deleted here less than 10 minutes ago; run "
                "only one",
                last->coordinator);
  }
  return coordinator;
}

void note_deletion(Holdings& holdings, std::string coordinator) {
  holdings.last_deletion = {.coordinator = std::move(coordinator), .time = Clock::now()};
}

Result<void> prove_by_inventory(Ref const& ref, InventoryPage const& inventory) {
  auto const holds_the_same = std::any_of(
      inventory.refs.begin(), inventory.refs.end(),
      [&](RefReport const& held) { return held.ref == ref && held.missing_count == 0; });
  if (holds_the_same) return ok();
  // It is to keep this very copy, and has lost some of it: a newer generation does not replace
  // that.
  auto const lost_the_same =
      std::any_of(inventory.refs.begin(), inventory.refs.end(),
                  [&](RefReport const& held) { return held.ref == ref && held.missing_count > 0; });
  if (lost_the_same) return fail(ErrorKind::conflict, "its own copy of the same is damaged");
  Generation newest = ref.generation;
  for (RefReport const& held : inventory.refs) {
    if (held.ref.key == ref.key && is_manifest(held.ref.name)) {
      newest = std::max(newest, held.ref.generation);
    }
  }
  if (newest == ref.generation) {
    return fail(ErrorKind::conflict, "holds neither the same nor a newer complete generation");
  }
  auto const damaged =
      std::any_of(inventory.refs.begin(), inventory.refs.end(), [&](RefReport const& held) {
        return held.ref.key == ref.key && held.ref.generation == newest && held.missing_count > 0;
      });
  if (damaged) {
    return fail(ErrorKind::conflict, "its newer generation {} is damaged", newest.value);
  }
  return ok();
}

Awaitable<Result<void>> delete_ref(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder) {
  CO_TRY(auto asked, ref_arguments(request));
  CO_TRY(auto const coordinator, deleting_coordinator(holdings, request));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const witnesses, parse_witnesses(text_of(body)));
  auto const ref = co_await holdings.offload.run(
      [&] { return holdings.refs->find(asked.key, asked.generation, asked.name); });
  if (!ref) co_return co_await send_done(responder);
  auto const held =
      co_await holdings.offload.run([&] { return held_beside(*holdings.refs, *ref); });
  if (is_manifest(ref->name) && held.has_shards) {
    co_return fail(ErrorKind::conflict,
                   "manifest of {} generation {}: shards of it are here; delete them first",
                   ref->key.identity(), ref->generation.value);
  }
  if (!held.has_manifest) {
    CO_TRY(co_await remove(holdings, *ref, coordinator));
    co_return co_await send_done(responder);
  }
  if (witnesses.empty()) {
    co_return fail(ErrorKind::conflict,
                   "{} of {} generation {}: belongs to a complete generation; name a witness",
                   ref->name.text(), ref->key.identity(), ref->generation.value);
  }
  LongWork work = [&](LongCall&) -> Awaitable<Result<std::string>> {
    CO_TRY(co_await ask_witnesses(holdings, *ref, witnesses));
    CO_TRY(co_await remove(holdings, *ref, coordinator));
    co_return R"({"deleted":true})";
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace grove
