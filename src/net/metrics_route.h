// GET /metrics and GET /metrics/, of any server.
// Threads: the server's executor.
#pragma once

#include <functional>

#include "base/metrics.h"
#include "net/asio.h"
#include "net/http_router.h"

namespace grove {

// Brings up to date what is measured only when somebody looks. Answers are late by the time it
// takes, and Prometheus waits 10 s by default: a few at most.
using RefreshMetrics = std::function<Awaitable<void>()>;

// `metrics` must outlive the router.
void add_metrics_routes(HttpRouter& router, Metrics const& metrics, RefreshMetrics refresh);

}  // namespace grove
