#include "worker/mark_calls.h"

#include <string>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "transfer/worker_messages.h"
#include "worker/deletion.h"

namespace grove {
namespace {

// The file's presence is what counts.
Result<void> keep_draining(DataFolder const& folder, bool is_draining) {
  std::string_view const text = "true\n";
  if (is_draining) return folder.write(folder.draining(), bytes_of(text));
  if (!stamp_of(folder.draining())) return ok();
  TRY(remove_file(folder.draining()));
  return sync_folder(folder.root());
}

}  // namespace

Awaitable<Result<void>> put_tombstone(Holdings& holdings, HttpRequest& request,
                                      HttpResponder& responder) {
  CO_TRY(auto key, key_argument(request, 0));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const tombstone, parse_tombstone_body(std::move(key), text_of(body)));
  if (request.param("coordinator")) {
    CO_TRY(claim_deletions(holdings, request));
  }
  auto kept =
      co_await holdings.commits.run([&] { return holdings.refs->put_tombstone(tombstone); });
  if (kept.has_error()) {
    co_return co_await done_or_failed(holdings, std::move(kept).error(), responder);
  }
  spdlog::info("forgot {} up to generation {}, and {} later ones, on purpose: {} refs were here",
               tombstone.key.identity(), tombstone.up_to.value, tombstone.singles.size(),
               kept.value());
  co_return co_await send_done(responder);
}

Awaitable<Result<void>> put_pin(Holdings& holdings, HttpRequest& request,
                                HttpResponder& responder) {
  CO_TRY(auto key, key_argument(request, 0));
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto const pin, parse_pin_body(std::move(key), text_of(body)));
  auto kept = co_await holdings.commits.run([&] { return holdings.pins->put(pin); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

Awaitable<Result<void>> put_drain(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder) {
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(bool const is_draining, parse_drain(text_of(body)));
  auto kept =
      co_await holdings.commits.run([&] { return keep_draining(holdings.folder, is_draining); });
  if (kept.has_value()) {
    holdings.is_draining = is_draining;
    spdlog::info("{}", is_draining ? "to be emptied from now on" : "not to be emptied any more");
  }
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

Awaitable<Result<void>> put_expected(Holdings& holdings, HttpRequest& request,
                                     HttpResponder& responder) {
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  auto kept =
      co_await holdings.commits.run([&] { return holdings.refs->put_expected(body.span()); });
  co_return co_await done_or_failed(holdings, std::move(kept), responder);
}

}  // namespace grove
