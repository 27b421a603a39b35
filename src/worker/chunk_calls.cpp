#include "worker/chunk_calls.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "transfer/worker_messages.h"
#include "worker/chunk_deltas.h"
#include "worker/long_call.h"

namespace grove {
namespace {

std::uint64_t body_room(HttpRequest const& request) {
  return std::min(request.content_length().value_or(limits::encoded_chunk_bytes_max),
                  limits::encoded_chunk_bytes_max);
}

// Which chunks of a delta are here, by their files: what is wrong with them shows when they are
// read.
struct Held {
  bool chunk = false;
  bool base = false;
};

Awaitable<Held> look_up(Holdings& holdings, Digest digest, Digest base) {
  co_return co_await holdings.offload.run([&] {
    return Held{.chunk = holdings.chunks.has(digest), .base = holdings.chunks.has(base)};
  });
}

Error refused(Holdings& holdings, Error error) {
  if (error.kind == ErrorKind::conflict) holdings.metrics.add(Count::deltas_refused);
  return error;
}

// What can be said without the body is said before it is read.
Awaitable<Result<void>> put_delta(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder, Digest digest, Digest base) {
  holdings.transfers.note();
  std::array const pinned{digest, base};
  pin(holdings, request, pinned);
  auto const held = co_await look_up(holdings, digest, base);
  if (held.chunk) co_return co_await send_done(responder);
  if (!held.base) co_return refused(holdings, lacking_base(digest, base, send_whole));

  auto const others = limits::delta_room_bytes - limits::encoded_chunk_bytes_max;
  CO_TRY(auto const permit, co_await holdings.incoming.acquire(body_room(request) + others));
  CO_TRY(auto body, co_await request.read_body(limits::encoded_chunk_bytes_max));
  auto const kept = co_await holdings.offload.run(
      [&] { return keep_delta(holdings.chunks, digest, base, std::move(body)); });
  if (!kept) {
    holdings.check_store(kept.error());
    co_return refused(holdings, kept.error());
  }
  holdings.metrics.add(Count::chunks_put);
  holdings.metrics.add(Count::deltas_put);
  co_return co_await send_done(responder);
}

Awaitable<Result<void>> get_delta(Holdings& holdings, HttpResponder& responder, Digest digest,
                                  Digest base) {
  holdings.transfers.note();
  auto const held = co_await look_up(holdings, digest, base);
  if (!held.chunk) {
    co_return fail(ErrorKind::not_found, "chunk {} is not here", digest.short_hex());
  }
  if (!held.base) co_return refused(holdings, lacking_base(digest, base, ask_whole));

  CO_TRY(auto permit, co_await holdings.outgoing.acquire(limits::delta_room_bytes));
  auto const delta =
      co_await holdings.offload.run([&] { return make_delta(holdings.chunks, digest, base); });
  if (!delta) co_return refused(holdings, delta.error());
  permit.release(limits::delta_room_bytes - delta.value().size());
  CO_TRY(co_await responder.send(200, "application/octet-stream", delta.value().span()));
  holdings.metrics.add(Count::chunks_served);
  co_return ok();
}

}  // namespace

Awaitable<Result<void>> post_missing(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder) {
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const digests, parse_digests("chunks", text_of(body)));
  pin(holdings, request, digests);
  auto const missing =
      co_await holdings.offload.run([&] { return holdings.chunks.missing_or_damaged(digests); });
  co_return co_await send_json(responder, serialize_digests("missing", missing));
}

Awaitable<Result<void>> put_chunk(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  CO_TRY(auto const base, base_param(request));
  if (base) co_return co_await put_delta(holdings, request, responder, digest, *base);
  CO_TRY(auto const permit, co_await holdings.incoming.acquire(body_room(request)));
  holdings.transfers.note();
  CO_TRY(auto const body, co_await request.read_body(limits::encoded_chunk_bytes_max));
  pin(holdings, request, {&digest, 1});
  auto const put =
      co_await holdings.offload.run([&] { return holdings.chunks.put(digest, body.span()); });
  if (!put) {
    holdings.check_store(put.error());
    co_return put.error();
  }
  holdings.metrics.add(Count::chunks_put);
  co_return co_await send_done(responder);
}

Awaitable<Result<void>> get_chunk(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  CO_TRY(auto const base, base_param(request));
  if (base) co_return co_await get_delta(holdings, responder, digest, *base);
  holdings.transfers.note();
  CO_TRY(auto permit, co_await holdings.outgoing.acquire(limits::encoded_chunk_bytes_max));
  CO_TRY(auto const chunk,
         co_await holdings.offload.run([&] { return holdings.chunks.get(digest); }));
  permit.release(limits::encoded_chunk_bytes_max - chunk.size());
  CO_TRY(co_await responder.send(200, "application/octet-stream", chunk.span()));
  holdings.metrics.add(Count::chunks_served);
  co_return ok();
}

Awaitable<Result<void>> post_sync(Holdings& holdings, HttpRequest&, HttpResponder& responder) {
  LongWork work = [&holdings](LongCall&) -> Awaitable<Result<std::string>> {
    auto const begun = std::chrono::steady_clock::now();
    auto const synced = co_await holdings.commits.run([&] { return holdings.chunks.sync(); });
    holdings.metrics.observe(Timing::sync_duration, std::chrono::steady_clock::now() - begun);
    if (!synced) {
      holdings.check_store(synced.error());
      co_return synced.error();
    }
    co_return R"({"synced":true})";
  };
  co_return co_await answer_long_call(responder, json_document, std::move(work));
}

}  // namespace grove
