#include "worker/inventory_call.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/wall_clock.h"
#include "worker/deletion.h"

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

// "manifest,0,17"
Result<std::vector<RefName>> names_of(std::string_view text) {
  std::vector<RefName> names;
  for (;;) {
    auto const end = text.find(',');
    TRY(auto const name, RefName::parse(text.substr(0, end)));
    names.push_back(name);
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  std::ranges::sort(names);
  return names;
}

Result<InventoryQuery> query_of(HttpRequest const& request) {
  InventoryQuery query;
  if (auto const identity = request.param("identity")) {
    TRY(query.wanted.only, CheckpointKey::parse(*identity));
  }
  query.wanted.prefix = request.param("prefix").value_or("");
  if (auto const generation = request.param("generation")) {
    TRY(query.wanted.generation, parse_generation(*generation));
  }
  if (auto const names = request.param("name")) {
    TRY(query.wanted.names, names_of(*names));
  }
  query.after = request.param("after").value_or("");
  TRY(query.limit, page_limit(request));
  return query;
}

bool is_proven(RefReport const& report, std::optional<std::int64_t> reread_ms) {
  if (!reread_ms || report.missing_count > 0) return false;
  auto const age = std::chrono::milliseconds(wall_clock_ms() - *reread_ms);
  return age >= std::chrono::milliseconds(0) && age < proof_lasts;
}

// The last one of a page that has no room for more: "tombstone/<identity>", "pin/<identity>".
constexpr std::string_view tombstones_word = "tombstone/";
constexpr std::string_view pins_word = "pin/";

// Of a page that goes on after a mark of this kind.
Result<std::optional<CheckpointKey>> key_after(std::string_view after, std::string_view word) {
  if (!after.starts_with(word)) return std::optional<CheckpointKey>();
  TRY(auto key, CheckpointKey::parse(after.substr(word.size())));
  return std::optional(std::move(key));
}

// The tombstones and pins of a page; `after` is then where its refs begin.
Result<InventoryPage> read_marks(RefStore const& refs, PinStore const& pins,
                                 InventoryQuery const& query, std::string& after) {
  InventoryPage page;
  TRY(auto const last_tombstone, key_after(query.after, tombstones_word));
  TRY(auto const last_pin, key_after(query.after, pins_word));
  bool const is_at_refs = !query.after.empty() && !last_tombstone && !last_pin;
  if (is_at_refs || query.wanted.generation || !query.wanted.names.empty()) return page;
  after.clear();
  if (!last_pin) {
    page.tombstones = refs.tombstones(query.wanted, last_tombstone, query.limit);
  }
  page.pins = pins.page(query.wanted, last_pin, query.limit - page.tombstones.size());
  if (page.tombstones.size() + page.pins.size() < query.limit) return page;
  // Full. What comes next, or that nothing does, the next page tells.
  page.next = page.pins.empty()
                  ? fmt::format("{}{}", tombstones_word, page.tombstones.back().key.identity())
                  : fmt::format("{}{}", pins_word, page.pins.back().key.identity());
  return page;
}

Awaitable<Result<InventoryPage>> prove_page(Holdings& holdings, LongCall& call,
                                            InventoryQuery const& query) {
  CO_TRY(auto const permit, co_await holdings.proofs.acquire(1));
  std::function<bool()> const keep_going = [&call] { return call.is_wanted(); };
  co_return co_await holdings.background.run([&]() -> Result<InventoryPage> {
    TRY(auto const believed, read_inventory(*holdings.refs, *holdings.pins, query));
    TRY(reread_page(holdings.chunks, *holdings.refs, believed, query.is_afresh, keep_going));
    return read_inventory(*holdings.refs, *holdings.pins, query);
  });
}

Awaitable<Result<void>> get_proven_refs(Holdings& holdings, InventoryQuery const& query,
                                        HttpResponder& responder) {
  LongWork work = [&](LongCall& call) -> Awaitable<Result<std::string>> {
    CO_TRY(auto const page, co_await prove_page(holdings, call, query));
    co_return serialize_inventory(page);
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace

Result<InventoryPage> read_inventory(RefStore const& refs, PinStore const& pins,
                                     InventoryQuery const& query) {
  auto after = query.after;
  TRY(auto answer, read_marks(refs, pins, query, after));
  if (!answer.next.empty()) return answer;
  auto const room = query.limit - answer.tombstones.size() - answer.pins.size();
  TRY(auto page, refs.inventory(query.wanted, after, room));
  auto rest = page_of(std::move(page));
  answer.refs = std::move(rest.refs);
  answer.next = std::move(rest.next);
  return answer;
}

Result<void> reread_page(ChunkStore& chunks, RefStore& refs, InventoryPage const& page,
                         bool is_afresh, std::function<bool()> const& keep_going) {
  for (RefReport const& report : page.refs) {
    if (!is_afresh && is_proven(report, refs.reread_ms(report.ref))) continue;
    TRY(auto const outcome,
        reread(chunks, refs, report.ref, [&](ScrubReport const&) { return keep_going(); }));
    if (!outcome) return fail(ErrorKind::cancelled, "re-reading: cancelled");
  }
  return ok();
}

Awaitable<Result<InventoryPage>> prove_held(Holdings& holdings, LongCall& call,
                                            RefSelection wanted) {
  InventoryQuery const query{.wanted = std::move(wanted), .after = {}, .limit = SIZE_MAX};
  co_return co_await prove_page(holdings, call, query);
}

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto query, query_of(request));
  auto const verify = request.param("verify").value_or("false");
  if (verify != "true" && verify != "false" && verify != "now") {
    co_return fail(ErrorKind::invalid, "verify: must be true, now or false");
  }
  query.is_afresh = verify == "now";
  // Who vouches for one coordinator's deletions does so for no other's (worker/deletion.h).
  if (verify != "false" && request.param("coordinator")) {
    CO_TRY(claim_deletions(holdings, request));
  }
  if (verify != "false") co_return co_await get_proven_refs(holdings, query, responder);
  CO_TRY(auto const page, co_await holdings.offload.run([&] {
    return read_inventory(*holdings.refs, *holdings.pins, query);
  }));
  co_return co_await send_json(responder, serialize_inventory(page));
}

}  // namespace grove
