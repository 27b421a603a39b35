// A worker that keeps its chunks in memory, counts what it is asked and fails as it is told; real
// HTTP on a free port. For tests of pushes and fetches. Threads: the test's loop.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/test_loop.h"
#include "transfer/worker_client.h"

namespace grove {

class FakeWorker {
 public:
  FakeWorker(TestLoop& loop, HttpClient& http, Rank rank)
      : rank_(rank), http_(http), server_(loop.executor(), routes(), HttpServerOptions{}) {
    EXPECT_TRUE(server_.start().has_value());
  }

  WorkerClient client() {
    Endpoint const endpoint{
        .host = "127.0.0.1", .port = server_.port(), .name = fmt::format("pi4-{}", rank_.value)};
    return WorkerClient(http_, {.rank = rank_, .id = {}, .endpoint = endpoint}, "job");
  }
  Awaitable<void> stop() { co_await server_.stop(std::chrono::seconds(1)); }

  // Knobs.
  std::function<bool()> is_busy = [] { return false; };  // then /health is `unavailable`
  std::optional<Error> put_error;                        // of every chunk
  std::set<Digest> unpullable;                           // chunks that no pull brings here
  std::set<Digest> lost_at_commit;                       // chunks that are gone when a ref comes
  bool loses_again = false;                              // … whenever a ref comes
  std::function<void()> on_pull = [] {};                 // called when a pull begins
  std::chrono::milliseconds get_delay{0};                // before a chunk goes out

  // What came of it.
  std::map<Digest, std::string> chunks;
  std::vector<Digest> sent;    // chunks put by the coordinator, in their order
  std::vector<Digest> pulled;  // chunks had from another worker
  std::vector<Digest> lists;
  std::vector<Digest> refs;  // their targets
  std::size_t syncs_count = 0;
  std::size_t served_count = 0;  // chunks got from here
  std::size_t gets_at_once = 0;
  std::size_t gets_at_once_max = 0;

 private:
  using Answer = Awaitable<Result<void>>;

  HttpRouter routes() {
    HttpRouter router;
    auto const add = [&](http::verb method, std::string pattern,
                         Answer (FakeWorker::*handler)(HttpRequest&, HttpResponder&)) {
      router.add(method, std::move(pattern),
                 [this, handler](HttpRequest& request, HttpResponder& responder) {
                   return (this->*handler)(request, responder);
                 });
    };
    add(http::verb::get, "/health", &FakeWorker::health);
    add(http::verb::post, "/chunks/missing", &FakeWorker::missing);
    add(http::verb::put, "/chunks/{}", &FakeWorker::put_chunk);
    add(http::verb::get, "/chunks/{}", &FakeWorker::get_chunk);
    add(http::verb::post, "/pull", &FakeWorker::pull);
    add(http::verb::post, "/sync", &FakeWorker::sync);
    add(http::verb::put, "/shardlists/{}", &FakeWorker::put_list);
    add(http::verb::put, "/refs/{}/{}/{}", &FakeWorker::put_ref);
    return router;
  }

  static Awaitable<Result<std::string>> body_of(HttpRequest& request) {
    CO_TRY(auto const body, co_await request.read_body(limits::encoded_chunk_bytes_max));
    co_return std::string(reinterpret_cast<char const*>(body.data()), body.size());
  }
  static Answer answer(HttpResponder& responder, std::string json) {
    co_return co_await responder.send_text(200, "application/json", std::move(json));
  }

  Answer health(HttpRequest&, HttpResponder& responder) {
    if (is_busy()) co_return fail(ErrorKind::unavailable, "busy");
    WorkerHealth health;
    health.rank = rank_;
    health.id = std::string(32, 'a');
    co_return co_await answer(responder, serialize_health(health));
  }

  Answer missing(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto const body, co_await body_of(request));
    CO_TRY(auto const asked, parse_digests("chunks", body));
    std::vector<Digest> lacking;
    for (auto const& digest : asked) {
      if (!chunks.contains(digest)) lacking.push_back(digest);
    }
    co_return co_await answer(responder, serialize_digests("missing", lacking));
  }

  Answer put_chunk(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto const digest, Digest::parse(request.args().at(0)));
    CO_TRY(auto body, co_await body_of(request));
    if (put_error) co_return *put_error;
    sent.push_back(digest);
    unsynced_.insert(digest);
    chunks[digest] = std::move(body);
    co_return co_await answer(responder, {});
  }

  Answer get_chunk(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto const digest, Digest::parse(request.args().at(0)));
    gets_at_once_max = std::max(gets_at_once_max, ++gets_at_once);
    if (get_delay.count() > 0) std::ignore = co_await sleep_for(get_delay);
    --gets_at_once;
    auto const found = chunks.find(digest);
    if (found == chunks.end()) co_return fail(ErrorKind::not_found, "not here");
    ++served_count;
    co_return co_await responder.send_text(200, "application/octet-stream", found->second);
  }

  Answer pull(HttpRequest& request, HttpResponder& responder) {
    on_pull();
    CO_TRY(auto const body, co_await body_of(request));
    CO_TRY(auto const order, parse_pull(body));
    WorkerClient source(http_, order.from, {});
    std::string lines;
    for (auto const& digest : order.chunks) {
      PullOutcome outcome{.chunk = digest, .error = {}};
      if (unpullable.contains(digest)) {
        outcome.error = fail(ErrorKind::corrupt, "bytes do not match their name");
      } else if (!chunks.contains(digest)) {
        auto const got = co_await source.get_chunk(digest);
        if (got) {
          auto const bytes = got.value().span();
          chunks[digest].assign(reinterpret_cast<char const*>(bytes.data()), bytes.size());
          pulled.push_back(digest);
          unsynced_.insert(digest);
        } else {
          outcome.error = got.error();
        }
      }
      lines += serialize_outcome(outcome) + "\n";
    }
    co_return co_await responder.send_text(200, "application/x-ndjson", std::move(lines));
  }

  Answer sync(HttpRequest&, HttpResponder& responder) {
    ++syncs_count;
    unsynced_.clear();
    co_return co_await answer(responder, R"({"synced":true})");
  }

  Answer put_list(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto const digest, Digest::parse(request.args().at(0)));
    CO_TRY(auto const body, co_await body_of(request));
    EXPECT_EQ(sha256(body), digest);
    lists.push_back(digest);
    co_return co_await answer(responder, {});
  }

  Answer put_ref(HttpRequest& request, HttpResponder& responder) {
    CO_TRY(auto const body, co_await body_of(request));
    CO_TRY(auto const target, parse_ref_target(body));
    EXPECT_TRUE(lists.size() == 1 && lists.front() == target) << "the ref came before its list";
    EXPECT_TRUE(unsynced_.empty() || was_committed_) << "the ref came before the sync";
    std::vector<Digest> const lost(lost_at_commit.begin(), lost_at_commit.end());
    if (!loses_again) lost_at_commit.clear();
    was_committed_ = true;
    for (auto const& digest : lost) chunks.erase(digest);
    if (lost.empty()) {
      refs.push_back(target);
      co_return co_await answer(responder, {});
    }
    auto const error = fail(ErrorKind::conflict, "{} chunks are missing", lost.size());
    auto json = serialize_missing(error, lost);
    co_return co_await responder.send_text(409, "application/json", std::move(json));
  }

  Rank rank_;
  HttpClient& http_;
  std::set<Digest> unsynced_;
  bool was_committed_ = false;  // what is sent again is made durable by PUT /refs itself
  HttpServer server_;
};

}  // namespace grove
