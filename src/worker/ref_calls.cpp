#include "worker/ref_calls.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "transfer/worker_messages.h"

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

Awaitable<Result<void>> done_or_failed(Holdings& holdings, Result<void> kept,
                                       HttpResponder& responder) {
  if (!kept) {
    co_await holdings.check_store(kept.error());
    co_return kept.error();
  }
  co_return co_await send_done(responder);
}

}  // namespace

Awaitable<Result<void>> put_list(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  auto const room =
      std::min(request.content_length().value_or(limits::list_bytes_max), limits::list_bytes_max);
  CO_TRY(auto const permit, co_await holdings.lists.acquire(room));
  CO_TRY(auto const body, co_await request.read_body(limits::list_bytes_max));
  pin(holdings, request, {&digest, 1});
  auto kept =
      co_await holdings.offload.run([&] { return holdings.refs->put_list(digest, body.span()); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

Awaitable<Result<void>> get_list(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  CO_TRY(auto permit, co_await holdings.lists.acquire(limits::list_bytes_max));
  CO_TRY(auto const bytes,
         co_await holdings.offload.run([&] { return holdings.refs->list_bytes(digest); }));
  permit.release(limits::list_bytes_max - bytes.size());
  co_return co_await responder.send(200, "application/octet-stream", bytes.span());
}

Awaitable<Result<void>> put_manifest(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  CO_TRY(auto const body, co_await request.read_body(limits::manifest_bytes_max));
  pin(holdings, request, {&digest, 1});
  auto kept = co_await holdings.offload.run(
      [&] { return holdings.refs->put_manifest(digest, body.span()); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

Awaitable<Result<void>> get_manifest(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  CO_TRY(auto const bytes,
         co_await holdings.offload.run([&] { return holdings.refs->manifest_bytes(digest); }));
  co_return co_await responder.send(200, "application/json", bytes.span());
}

Awaitable<Result<void>> put_ref(Holdings& holdings, HttpRequest& request,
                                HttpResponder& responder) {
  CO_TRY(auto ref, ref_arguments(request));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(ref.target, parse_ref_target(text_of(body)));
  auto put = co_await holdings.offload.run([&] { return holdings.refs->put_ref(ref); });
  if (!put) {
    co_await holdings.check_store(put.error());
    co_return put.error();
  }
  std::span<Digest const> missing = put.value().missing;
  if (missing.empty()) co_return co_await send_done(responder);
  auto const error = fail(ErrorKind::conflict, "{} of {}: {} chunks are missing; send them again",
                          ref.name.text(), ref.key.identity(), missing.size());
  missing = missing.first(std::min(missing.size(), limits::digests_per_call_max));
  co_return co_await responder.send_text(error_status(error.kind), "application/json",
                                         serialize_missing(error, missing));
}

Awaitable<Result<void>> get_refs(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  std::optional<CheckpointKey> only;
  if (auto const identity = request.param("identity")) {
    CO_TRY(only, CheckpointKey::parse(*identity));
  }
  auto const after = request.param("after").value_or("");
  CO_TRY(auto const limit, page_limit(request));
  CO_TRY(auto page, co_await holdings.offload.run(
                        [&] { return holdings.refs->inventory(only, after, limit); }));
  auto answer = page_of(std::move(page));
  if (after.empty()) {
    answer.tombstones = co_await holdings.offload.run([&] { return holdings.refs->tombstones(); });
    if (only) {
      std::erase_if(answer.tombstones,
                    [&](Tombstone const& tombstone) { return tombstone.key != *only; });
    }
  }
  co_return co_await send_json(responder, serialize_inventory(answer));
}

Awaitable<Result<void>> put_tombstone(Holdings& holdings, HttpRequest& request,
                                      HttpResponder& responder) {
  CO_TRY(auto key, key_argument(request, 0));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const tombstone, parse_tombstone_body(std::move(key), text_of(body)));
  auto kept =
      co_await holdings.offload.run([&] { return holdings.refs->put_tombstone(tombstone); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

Awaitable<Result<void>> put_expected(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder) {
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  auto kept =
      co_await holdings.offload.run([&] { return holdings.refs->put_expected(body.span()); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

}  // namespace grove
