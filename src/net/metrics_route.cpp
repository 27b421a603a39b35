#include "net/metrics_route.h"

#include <utility>

#include "net/http_request.h"
#include "net/http_responder.h"

namespace grove {
namespace {

constexpr char const* text_format = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

void add_metrics_routes(HttpRouter& router, Metrics const& metrics, RefreshMetrics refresh) {
  HttpHandler const handler = [&metrics, refresh = std::move(refresh)](
                                  HttpRequest&,
                                  HttpResponder& responder) -> Awaitable<Result<void>> {
    co_await refresh();
    co_return co_await responder.send_text(200, text_format, metrics.text());
  };
  router.add(http::verb::get, "/metrics", handler);
  router.add(http::verb::get, "/metrics/", handler);
}

}  // namespace grove
