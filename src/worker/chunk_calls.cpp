#include "worker/chunk_calls.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "transfer/worker_messages.h"
#include "worker/long_call.h"

namespace grove {

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
  if (request.param("base")) {
    co_return fail(ErrorKind::conflict, "chunk {}: deltas are not kept yet; send it whole",
                   digest.short_hex());
  }
  auto const room = std::min(request.content_length().value_or(limits::encoded_chunk_bytes_max),
                             limits::encoded_chunk_bytes_max);
  CO_TRY(auto const permit, co_await holdings.incoming.acquire(room));
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
