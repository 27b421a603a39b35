#include "worker/ref_calls.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "transfer/worker_messages.h"

namespace grove {
Awaitable<Result<void>> put_list(Holdings& holdings, HttpRequest& request,
                                 HttpResponder& responder) {
  CO_TRY(auto const digest, digest_argument(request, 0));
  auto const room =
      std::min(request.content_length().value_or(limits::list_bytes_max), limits::list_bytes_max);
  CO_TRY(auto const permit, co_await holdings.lists.acquire(room));
  CO_TRY(auto const body, co_await request.read_body(limits::list_bytes_max));
  pin(holdings, request, {&digest, 1});
  auto kept =
      co_await holdings.commits.run([&] { return holdings.refs->put_list(digest, body.span()); });
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
  auto kept = co_await holdings.commits.run(
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
  auto put = co_await holdings.commits.run([&] { return holdings.refs->put_ref(ref); });
  if (!put) {
    holdings.check_store(put.error());
    co_return put.error();
  }
  std::span<Digest const> missing = put.value().missing;
  if (missing.empty()) {
    note_own(holdings, request, ref);
    co_return co_await send_done(responder);
  }
  auto const error = fail(ErrorKind::conflict, "{} of {}: {} chunks are missing; send them again",
                          ref.name.text(), ref.key.identity(), missing.size());
  missing = missing.first(std::min(missing.size(), limits::digests_per_call_max));
  co_return co_await responder.send_text(error_status(error.kind), "application/json",
                                         serialize_missing(error, missing));
}

}  // namespace grove
