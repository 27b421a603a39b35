// A worker that keeps its chunks in memory, counts what it is asked and fails as it is told; real
// HTTP on a free port. For tests of pushes and fetches. It takes and gives deltas to whatever chunk
// it holds. Threads: the test's loop.
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

#include "base/bytes.h"
#include "format/chunk.h"
#include "format/delta.h"
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
  bool refuses_deltas = false;                           // taken and given, with a conflict
  std::set<Digest> unsound_bases;                        // held, but no delta to them can be
  std::set<Digest> lost_at_commit;                       // chunks that are gone when a ref comes
  bool loses_again = false;                              // … whenever a ref comes
  std::function<void()> on_pull = [] {};                 // called when a pull begins
  std::function<void()> on_put = [] {};                  // called when a chunk has come
  std::chrono::milliseconds get_delay{0};                // before a chunk goes out

  // What came of it.
  std::map<Digest, std::string> chunks;
  std::vector<Digest> sent;    // chunks put by the coordinator, in their order, deltas included
  std::vector<Digest> pulled;  // chunks had from another worker
  std::vector<Digest> sent_as_deltas;
  std::vector<Digest> pulled_as_deltas;
  std::size_t deltas_refused_count = 0;  // when put or got
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
    co_return std::string(text_of(body));
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
    on_put();
    if (auto const base = request.param("base")) {
      CO_TRY(auto const base_digest, Digest::parse(*base));
      CO_TRY(body, rebuild(digest, base_digest, bytes_of(body)));
      sent_as_deltas.push_back(digest);
    }
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
    std::string body = found->second;
    if (auto const base = request.param("base")) {
      CO_TRY(auto const base_digest, Digest::parse(*base));
      CO_TRY(body, delta_of(digest, base_digest));
    }
    ++served_count;
    co_return co_await responder.send_text(200, "application/octet-stream", std::move(body));
  }

  // The encoded chunk that a delta makes.
  Result<std::string> rebuild(Digest const& digest, Digest const& base,
                              std::span<std::byte const> delta) {
    Buffer base_scratch;
    TRY(auto const base_raw, raw_of_base(base, base_scratch));
    Buffer scratch;
    TRY(auto const rebuilt, decode_delta(delta, base_raw, digest, scratch));
    return std::string(text_of(encode_chunk(rebuilt.raw, rebuilt.store_as)));
  }
  Result<std::string> delta_of(Digest const& digest, Digest const& base) {
    Buffer base_scratch;
    TRY(auto const base_raw, raw_of_base(base, base_scratch));
    auto const& encoded = chunks.at(digest);
    Buffer scratch;
    TRY(auto const raw, decode_chunk(bytes_of(encoded), digest, scratch));
    TRY(auto const header, parse_chunk_header(bytes_of(encoded)));
    if (raw.size() == base_raw.size()) {
      auto const delta =
          encode_delta(raw, base_raw, ValueType::unknown, header.codec, encoded.size());
      if (delta) return std::string(text_of(*delta));
    }
    return refused("no delta of it would be smaller");
  }
  Result<std::span<std::byte const>> raw_of_base(Digest const& base, Buffer& scratch) {
    auto const found = chunks.find(base);
    if (refuses_deltas || found == chunks.end() || unsound_bases.contains(base)) {
      return refused("no such base");
    }
    return decode_chunk(bytes_of(found->second), base, scratch);
  }
  Error refused(std::string_view why) {
    ++deltas_refused_count;
    return fail(ErrorKind::conflict, "{}; it goes whole", why);
  }

  static Awaitable<Result<std::string>> pull_whole(WorkerClient& source, Digest digest) {
    CO_TRY(auto const got, co_await source.get_chunk(digest));
    co_return std::string(text_of(got));
  }
  Awaitable<Result<std::string>> pull_delta(WorkerClient& source, Digest digest, Digest base) {
    CO_TRY(auto const delta, co_await source.get_delta(digest, base));
    CO_TRY(auto chunk, rebuild(digest, base, delta.span()));
    pulled_as_deltas.push_back(digest);
    co_return chunk;
  }

  Answer pull(HttpRequest& request, HttpResponder& responder) {
    on_pull();
    CO_TRY(auto const body, co_await body_of(request));
    CO_TRY(auto const order, parse_pull(body));
    WorkerClient source(http_, order.from, {});
    std::string lines;
    for (auto const& [digest, base] : order.chunks) {
      PullOutcome outcome{.chunk = digest, .error = {}};
      if (unpullable.contains(digest)) {
        outcome.error = fail(ErrorKind::corrupt, "bytes do not match their name");
      } else if (!chunks.contains(digest)) {
        Result<std::string> got = fail(ErrorKind::conflict, "no delta was asked for");
        if (base && chunks.contains(*base)) got = co_await pull_delta(source, digest, *base);
        if (!got && got.error().kind == ErrorKind::conflict) {
          got = co_await pull_whole(source, digest);
        }
        if (got) {
          chunks[digest] = std::move(got).value();
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
