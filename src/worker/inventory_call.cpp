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
  if (!entry.verified_ms || entry.missing_count > 0) return false;
  auto const age = std::chrono::milliseconds(wall_clock_ms() - *entry.verified_ms);
  return age >= std::chrono::milliseconds(0) && age < proof_lasts;
}

bool is_damage(ErrorKind kind) {
  return kind == ErrorKind::corrupt || kind == ErrorKind::not_found || kind == ErrorKind::invalid;
}

// True where all of its chunks are good.
Result<bool> reread_ref(ChunkStore& chunks, RefStore const& refs, Ref const& ref,
                        std::function<bool()> const& keep_going) {
  auto const reached = refs.reach(ref);
  if (!reached && is_damage(reached.error().kind)) return false;
  if (!reached) return reached.error();
  bool is_good = true;
  for (ChunkRef const& chunk : reached.value().chunks) {
    if (!keep_going()) return fail(ErrorKind::cancelled, "re-reading: cancelled");
    auto const verified = chunks.verify(chunk.digest);
    if (!verified && !is_damage(verified.error().kind)) return verified.error();
    is_good = is_good && verified.has_value();
  }
  return is_good;
}

Awaitable<Result<void>> get_proven_refs(Holdings& holdings, InventoryQuery const& query,
                                        HttpResponder& responder) {
  LongWork work = [&](LongCall& call) -> Awaitable<Result<std::string>> {
    CO_TRY(auto const permit, co_await holdings.proofs.acquire(1));
    std::function<bool()> const keep_going = [&call] { return call.is_wanted(); };
    auto const page = co_await holdings.background.run([&]() -> Result<InventoryPage> {
      TRY(reread(holdings.chunks, *holdings.refs, query, keep_going));
      return read_inventory(*holdings.refs, query);
    });
    if (!page) co_return page.error();
    co_return serialize_inventory(page.value());
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace

Result<InventoryPage> read_inventory(RefStore const& refs, InventoryQuery const& query) {
  TRY(auto page, refs.inventory(query.wanted, query.after, query.limit));
  auto answer = page_of(std::move(page));
  if (!query.after.empty()) return answer;
  answer.tombstones = refs.tombstones();
  std::erase_if(answer.tombstones, [&](Tombstone const& tombstone) {
    return (query.wanted.only && tombstone.key != *query.wanted.only) ||
           !tombstone.key.identity().starts_with(query.wanted.prefix);
  });
  return answer;
}

Result<void> reread(ChunkStore& chunks, RefStore& refs, InventoryQuery const& query,
                    std::function<bool()> const& keep_going) {
  TRY(auto const page, refs.inventory(query.wanted, query.after, query.limit));
  for (InventoryEntry const& entry : page.entries) {
    if (is_proven(entry)) continue;
    TRY(bool const is_good, reread_ref(chunks, refs, entry.ref, keep_going));
    refs.mark_verified(entry.ref, is_good ? std::optional(wall_clock_ms()) : std::nullopt);
  }
  return ok();
}

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto const query, query_of(request));
  auto const verify = request.param("verify").value_or("false");
  if (verify != "true" && verify != "false") {
    co_return fail(ErrorKind::invalid, "verify: must be true or false");
  }
  if (verify == "true") co_return co_await get_proven_refs(holdings, query, responder);
  CO_TRY(auto const page,
         co_await holdings.offload.run([&] { return read_inventory(*holdings.refs, query); }));
  co_return co_await send_json(responder, serialize_inventory(page));
}

}  // namespace grove
