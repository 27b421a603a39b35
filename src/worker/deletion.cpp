#include "worker/deletion.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "worker/colleague.h"
#include "worker/inventory_call.h"
#include "worker/long_call.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough for a person to notice that two coordinators run.
constexpr auto second_coordinator_after = std::chrono::minutes(10);
constexpr std::size_t coordinator_bytes_max = 128;

// What proves one deletion, with each witness.
struct Question {
  Ref ref;
  std::optional<Generation> newer;
  std::string coordinator;

  Generation generation() const { return newer.value_or(ref.generation); }
  std::vector<RefName> names(DeletionWitness const& witness) const {
    return newer ? witness.holds : std::vector{ref.name};
  }
};

// Its own newer generation, which it may be the only one to hold.
Awaitable<Result<std::vector<RefReport>>> ask_oneself(Holdings& holdings, LongCall& call,
                                                      Question const& question,
                                                      DeletionWitness const& witness) {
  RefSelection wanted{.only = question.ref.key,
                      .generation = question.generation(),
                      .names = question.names(witness)};
  CO_TRY(auto page, co_await prove_held(holdings, call, std::move(wanted)));
  co_return std::move(page.refs);
}

Awaitable<Result<std::vector<RefReport>>> ask_other(Holdings& holdings, Question const& question,
                                                    DeletionWitness const& witness) {
  CO_TRY(co_await check_colleague(holdings, witness.address));
  WorkerClient client(holdings.http, witness.address);
  CO_TRY(co_await check_answers(client));
  co_return co_await client.witness(question.ref.key, question.generation(),
                                    question.names(witness), question.coordinator);
}

Awaitable<Result<void>> ask_witness(Holdings& holdings, LongCall& call, Question const& question,
                                    DeletionWitness const& witness) {
  bool const is_itself = question.newer && witness.address.id == holdings.folder.id();
  auto asked = is_itself ? ask_oneself(holdings, call, question, witness)
                         : ask_other(holdings, question, witness);
  CO_TRY(auto const has, co_await std::move(asked));
  auto const proof = prove(question.ref, question.newer, witness.holds, has);
  if (!proof) {
    co_return fail(proof.error().kind, "{}: {}", witness.address.endpoint.text(),
                   proof.error().message);
  }
  co_return ok();
}

Awaitable<Result<void>> ask_witnesses(Holdings& holdings, LongCall& call, Question const& question,
                                      std::vector<DeletionWitness> const& witnesses) {
  for (auto const& witness : witnesses) {
    auto const proof = co_await ask_witness(holdings, call, question, witness);
    if (proof) continue;
    // Whatever the reason, the answer is "not proven"; only a witness that cannot be one is the
    // caller's mistake.
    bool const is_mistake = proof.error().kind == ErrorKind::invalid;
    co_return fail(is_mistake ? ErrorKind::invalid : ErrorKind::conflict,
                   "{} of {} generation {}: not proven: {}", question.ref.name.text(),
                   question.ref.key.identity(), question.ref.generation.value,
                   proof.error().message);
  }
  co_return ok();
}

// A generation without a manifest replaces nothing, whoever holds shards of it.
Result<void> check_grounds(Ref const& ref, DeletionGrounds const& grounds) {
  if (!grounds.newer) return ok();
  if (*grounds.newer <= ref.generation) {
    return fail(ErrorKind::invalid, "newer: must be later than {}", ref.generation.value);
  }
  auto const names_manifest = [](DeletionWitness const& witness) {
    return std::ranges::any_of(witness.holds, [](RefName const& name) { return !name.shard; });
  };
  if (std::ranges::any_of(grounds.witnesses, names_manifest)) return ok();
  return fail(ErrorKind::conflict,
              "{} of {} generation {}: no witness is said to hold the manifest of generation {}",
              ref.name.text(), ref.key.identity(), ref.generation.value, grounds.newer->value);
}

// What stood here when the witnesses were asked must still stand so.
Awaitable<Result<void>> remove(Holdings& holdings, Ref ref, RefRemoval removal,
                               std::string coordinator) {
  auto removed =
      co_await holdings.commits.run([&] { return holdings.refs->remove_ref(ref, removal); });
  if (removed.has_error()) {
    holdings.check_store(removed.error());
    co_return removed;
  }
  spdlog::info("deleted {} of {} generation {} for coordinator {}", ref.name.text(),
               ref.key.identity(), ref.generation.value, coordinator);
  co_return ok();
}

}  // namespace

Result<std::string> claim_deletions(Holdings& holdings, HttpRequest const& request) {
  auto const coordinator = request.param("coordinator").value_or("");
  if (coordinator.empty() || coordinator.size() > coordinator_bytes_max) {
    return fail(ErrorKind::invalid, "coordinator: must be 1 to {} bytes", coordinator_bytes_max);
  }
  auto const& claim = holdings.deletion_claim;
  if (claim && claim->coordinator != coordinator &&
      Clock::now() - claim->time < second_coordinator_after) {
    return fail(ErrorKind::conflict,
                "deletion: another coordinator ({}) deleted here, or had this worker vouch for "
                "something, less than 10 minutes ago; run only one",
                claim->coordinator);
  }
  holdings.deletion_claim = {.coordinator = coordinator, .time = Clock::now()};
  return coordinator;
}

Result<void> prove(Ref const& ref, std::optional<Generation> newer, std::span<RefName const> holds,
                   std::span<RefReport const> has) {
  if (!newer) {
    auto const same = std::ranges::find_if(has, [&](RefReport const& it) { return it.ref == ref; });
    if (same == has.end()) return fail(ErrorKind::conflict, "does not hold the same");
    if (same->missing_count == 0) return ok();
    return fail(ErrorKind::conflict, "its own copy of the same is damaged");
  }
  for (RefName const& name : holds) {
    auto const held = std::ranges::find_if(has, [&](RefReport const& it) {
      return it.ref.key == ref.key && it.ref.generation == *newer && it.ref.name == name;
    });
    if (held == has.end()) {
      return fail(ErrorKind::conflict, "does not hold {} of the newer generation {}", name.text(),
                  newer->value);
    }
    if (held->missing_count > 0) {
      return fail(ErrorKind::conflict, "its {} of the newer generation {} is damaged", name.text(),
                  newer->value);
    }
  }
  return ok();
}

Awaitable<Result<void>> delete_ref(Holdings& holdings, HttpRequest& request,
                                   HttpResponder& responder) {
  CO_TRY(auto asked, ref_arguments(request));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const grounds, parse_deletion(text_of(body)));
  CO_TRY(check_grounds(asked, grounds));
  // Before anybody is asked: the proof may take minutes, and another coordinator could begin one.
  CO_TRY(auto const coordinator, claim_deletions(holdings, request));
  auto const ref = holdings.refs->find(asked.key, asked.generation, asked.name);
  if (!ref) co_return co_await send_done(responder);
  auto const beside = holdings.refs->refs_of(ref->key, ref->generation);
  bool const is_complete = !beside.empty() && !beside.front().name.shard;
  if (!is_complete) {
    CO_TRY(co_await remove(holdings, *ref, RefRemoval::is_unfinished, coordinator));
    co_return co_await send_done(responder);
  }
  if (!ref->name.shard && beside.size() > 1) {
    co_return fail(ErrorKind::conflict,
                   "manifest of {} generation {}: shards of it are here; delete them first",
                   ref->key.identity(), ref->generation.value);
  }
  if (grounds.witnesses.empty()) {
    co_return fail(ErrorKind::conflict,
                   "{} of {} generation {}: belongs to a complete generation; name a witness",
                   ref->name.text(), ref->key.identity(), ref->generation.value);
  }
  Question const question{.ref = *ref, .newer = grounds.newer, .coordinator = coordinator};
  LongWork work = [&](LongCall& call) -> Awaitable<Result<std::string>> {
    CO_TRY(co_await ask_witnesses(holdings, call, question, grounds.witnesses));
    CO_TRY(claim_deletions(holdings, request));  // a long proof does not let it lapse
    CO_TRY(co_await remove(holdings, *ref, RefRemoval::is_proven, coordinator));
    co_return R"({"deleted":true})";
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace grove
