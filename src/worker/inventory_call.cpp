#include "worker/inventory_call.h"

#include <charconv>
#include <chrono>
#include <utility>

#include "base/wall_clock.h"
#include "worker/long_call.h"

namespace grove {
namespace {

// An entry may carry an identity of 4000 bytes: a page stays below 5 MB.
constexpr std::size_t page_count_max = 1000;
constexpr std::size_t page_count_default = 500;

Result<std::size_t> page_limit(HttpRequest const& request) {
  auto const text = request.param("limit");
  if (!text) return page_count_default;
  std::size_t limit = 0;
  auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (error != std::errc{} || end != text->data() + text->size() || limit == 0 ||
      limit > page_count_max) {
    return fail(ErrorKind::invalid, "limit: must be a number from 1 to {}", page_count_max);
  }
  return limit;
}

InventoryPage page_of(RefStore::Page page) {
  InventoryPage answer;
  answer.next = std::move(page.next);
  answer.refs.reserve(page.entries.size());
  for (InventoryEntry& entry : page.entries) {
    answer.refs.push_back({.ref = std::move(entry.ref),
                           .missing_count = entry.missing_count,
                           .bytes = entry.bytes,
                           .verified_ms = entry.verified_ms});
  }
  return answer;
}

Result<InventoryQuery> query_of(HttpRequest const& request) {
  InventoryQuery query;
  if (auto const identity = request.param("identity")) {
    TRY(query.wanted.only, CheckpointKey::parse(*identity));
  }
  query.wanted.prefix = request.param("prefix").value_or("");
  if (auto const name = request.param("name")) {
    TRY(query.wanted.name, RefName::parse(*name));
  }
  query.after = request.param("after").value_or("");
  TRY(query.limit, page_limit(request));
  return query;
}

// Disks do not lose what they gave so short a time ago more often than they lie.
constexpr auto proof_lasts = std::chrono::minutes(10);

bool is_proven(InventoryEntry const& entry) {
  if (!entry.reread_ms || entry.missing_count > 0) return false;
  auto const age = std::chrono::milliseconds(wall_clock_ms() - *entry.reread_ms);
  return age >= std::chrono::milliseconds(0) && age < proof_lasts;
}

Awaitable<Result<void>> get_proven_refs(Holdings& holdings, InventoryQuery const& query,
                                        HttpResponder& responder) {
  LongWork work = [&](LongCall& call) -> Awaitable<Result<std::string>> {
    CO_TRY(auto const permit, co_await holdings.proofs.acquire(1));
    std::function<bool()> const keep_going = [&call] { return call.is_wanted(); };
    auto const page = co_await holdings.background.run([&]() -> Result<InventoryPage> {
      TRY(reread_page(holdings.chunks, *holdings.refs, query, keep_going));
      return read_inventory(*holdings.refs, *holdings.pins, query);
    });
    if (!page) co_return page.error();
    co_return serialize_inventory(page.value());
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace

Result<InventoryPage> read_inventory(RefStore const& refs, PinStore const& pins,
                                     InventoryQuery const& query) {
  TRY(auto page, refs.inventory(query.wanted, query.after, query.limit));
  auto answer = page_of(std::move(page));
  if (!query.after.empty()) return answer;
  auto const is_other = [&](auto const& mark) {
    return (query.wanted.only && mark.key != *query.wanted.only) ||
           !mark.key.identity().starts_with(query.wanted.prefix);
  };
  answer.tombstones = refs.tombstones();
  std::erase_if(answer.tombstones, is_other);
  answer.pins = pins.all();
  std::erase_if(answer.pins, is_other);
  return answer;
}

Result<void> reread_page(ChunkStore& chunks, RefStore& refs, InventoryQuery const& query,
                         std::function<bool()> const& keep_going) {
  TRY(auto const page, refs.inventory(query.wanted, query.after, query.limit));
  for (InventoryEntry const& entry : page.entries) {
    if (!query.is_afresh && is_proven(entry)) continue;
    TRY(auto const outcome,
        reread(chunks, refs, entry.ref, [&](ScrubReport const&) { return keep_going(); }));
    if (!outcome) return fail(ErrorKind::cancelled, "re-reading: cancelled");
  }
  return ok();
}

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto query, query_of(request));
  auto const verify = request.param("verify").value_or("false");
  if (verify != "true" && verify != "false" && verify != "now") {
    co_return fail(ErrorKind::invalid, "verify: must be true, now or false");
  }
  query.is_afresh = verify == "now";
  if (verify != "false") co_return co_await get_proven_refs(holdings, query, responder);
  CO_TRY(auto const page, co_await holdings.offload.run([&] {
    return read_inventory(*holdings.refs, *holdings.pins, query);
  }));
  co_return co_await send_json(responder, serialize_inventory(page));
}

}  // namespace grove
