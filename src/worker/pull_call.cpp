#include "worker/pull_call.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "transfer/pull.h"
#include "worker/chunk_deltas.h"
#include "worker/colleague.h"
#include "worker/long_call.h"

namespace grove {
namespace {

std::vector<Digest> digests_of(PullRequest const& request) {
  std::vector<Digest> digests;
  for (WantedChunk const& chunk : request.chunks) digests.push_back(chunk.digest);
  return digests;
}

std::vector<Digest> bases_of(PullRequest const& request) {
  std::vector<Digest> bases;
  for (WantedChunk const& chunk : request.chunks) {
    if (chunk.base) bases.push_back(*chunk.base);
  }
  return bases;
}

class PullCall {
 public:
  PullCall(Holdings& holdings, PullRequest request)
      : holdings_(holdings), request_(std::move(request)) {}

  Awaitable<Result<std::string>> run(LongCall& call) {
    auto const absent = co_await absent_chunks(call);
    if (absent.empty()) co_return std::string{};
    WorkerClient source(holdings_.http, request_.from);
    auto const answers = co_await check_answers(source);
    if (!answers) {
      for (auto const& chunk : absent)
        tell(call, {.chunk = chunk.digest, .error = answers.error()});
      count_failed(absent.size());
      co_return std::string{};
    }
    co_await fetch(call, source, absent);
    co_return std::string{};
  }

 private:
  // Tells of those that are here. The others keep a base only where that is here.
  Awaitable<std::vector<WantedChunk>> absent_chunks(LongCall& call) {
    auto const digests = digests_of(request_);
    auto const missing = co_await holdings_.offload.run(
        [&] { return holdings_.chunks.missing_or_damaged(digests); });
    auto const bases = bases_of(request_);
    auto const missing_bases =
        co_await holdings_.offload.run([&] { return holdings_.chunks.missing(bases); });
    std::unordered_set<Digest> const lacking(missing.begin(), missing.end());
    std::unordered_set<Digest> const lacking_bases(missing_bases.begin(), missing_bases.end());
    std::unordered_set<Digest> seen;
    std::vector<WantedChunk> absent;
    for (WantedChunk chunk : request_.chunks) {
      if (!seen.insert(chunk.digest).second) continue;
      if (!lacking.contains(chunk.digest)) {
        tell(call, {.chunk = chunk.digest, .error = {}});
        continue;
      }
      if (chunk.base && lacking_bases.contains(*chunk.base)) chunk.base.reset();
      absent.push_back(chunk);
    }
    co_return absent;
  }

  // Who pulls is the last one to want these chunks for a while: they go past the page cache.
  Awaitable<void> fetch(LongCall& call, WorkerClient& source,
                        std::vector<WantedChunk> const& absent) {
    ChunkSink sink = [this](Digest const& digest, std::span<std::byte const> encoded,
                            std::span<std::byte const>) {
      holdings_.transfers.note();
      return holdings_.chunks.put(digest, encoded, CacheUse::drop_behind);
    };
    DeltaSink delta_sink = [this](Digest const& digest, Digest const& base,
                                  Buffer delta) -> Result<void> {
      holdings_.transfers.note();
      auto kept =
          keep_delta(holdings_.chunks, digest, base, std::move(delta), CacheUse::drop_behind);
      if (kept) {
        holdings_.metrics.add(Count::deltas_pulled);
      } else if (kept.error().kind == ErrorKind::conflict) {
        holdings_.metrics.add(Count::deltas_refused);
      }
      return kept;
    };
    PullObserver observer = [this, &call](PullOutcome const& outcome) { tell(call, outcome); };
    PullOptions options;
    options.buffers = &holdings_.incoming;
    options.proof = Proof::by_sink;
    options.stop_after = StopAfter::unreachable_source;
    options.delta_sink = std::move(delta_sink);
    auto const outcomes = co_await pull_chunks(source, absent, std::move(sink), holdings_.offload,
                                               std::move(options), std::move(observer));
    for (PullOutcome const& outcome : outcomes) {
      if (!outcome.error) {
        holdings_.metrics.add(Count::chunks_pulled);
        continue;
      }
      holdings_.check_store(*outcome.error);
      // One that was not asked for any more, after others had failed, is no failure of its own.
      if (outcome.error->kind != ErrorKind::cancelled) count_failed(1);
    }
  }

  void count_failed(std::size_t chunks) {
    holdings_.metrics.add(Count::pull_errors, {fmt::to_string(request_.from.rank.value)}, chunks);
  }

  static void tell(LongCall& call, PullOutcome const& outcome) {
    call.emit(serialize_outcome(outcome) + "\n");
  }

  Holdings& holdings_;
  PullRequest request_;
};

}  // namespace

Awaitable<Result<void>> post_pull(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder) {
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto wanted, parse_pull(text_of(body)));
  CO_TRY(co_await check_colleague(holdings, wanted.from));
  pin(holdings, request, digests_of(wanted));
  pin(holdings, request, bases_of(wanted));
  PullCall pull(holdings, std::move(wanted));
  LongWork work = [&pull](LongCall& call) { return pull.run(call); };
  co_return co_await answer_long_call(responder, json_lines, std::move(work));
}

}  // namespace grove
