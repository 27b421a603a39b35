#include "worker/api.h"

#include "worker/chunk_calls.h"
#include "worker/deletion.h"
#include "worker/inventory_call.h"
#include "worker/mark_calls.h"
#include "worker/pull_call.h"
#include "worker/ref_calls.h"
#include "worker/request.h"
#include "worker/shard_calls.h"
#include "worker/upkeep_calls.h"

namespace grove {
namespace {

struct Row {
  http::verb method;
  char const* pattern;
  WorkerCall call;
};

constexpr Row rows[] = {
    {http::verb::get, "/health", get_health},
    {http::verb::post, "/chunks/missing", post_missing},
    {http::verb::put, "/chunks/{}", put_chunk},
    {http::verb::get, "/chunks/{}", get_chunk},
    {http::verb::post, "/pull", post_pull},
    {http::verb::post, "/sync", post_sync},
    {http::verb::put, "/shardlists/{}", put_list},
    {http::verb::get, "/shardlists/{}", get_list},
    {http::verb::put, "/manifests/{}", put_manifest},
    {http::verb::get, "/manifests/{}", get_manifest},
    {http::verb::put, "/refs/{}/{}/{}", put_ref},
    {http::verb::delete_, "/refs/{}/{}/{}", delete_ref},
    {http::verb::get, "/refs", get_refs},
    {http::verb::get, "/shards/{}/{}", get_shard},
    {http::verb::put, "/tombstones/{}", put_tombstone},
    {http::verb::put, "/pins/{}", put_pin},
    {http::verb::put, "/drain", put_drain},
    {http::verb::put, "/expected", put_expected},
    {http::verb::post, "/scrub", post_scrub},
    {http::verb::post, "/gc", post_gc},
};

}  // namespace

HttpRouter worker_routes(Holdings& holdings) {
  HttpRouter router;
  for (Row const& row : rows) {
    router.add(row.method, row.pattern,
               [&holdings, call = row.call](HttpRequest& request,
                                            HttpResponder& responder) -> Awaitable<Result<void>> {
                 CO_TRY(admit(holdings, request));
                 co_return co_await call(holdings, request, responder);
               });
  }
  return router;
}

}  // namespace grove
