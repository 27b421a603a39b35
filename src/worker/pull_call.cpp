#include "worker/pull_call.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "transfer/pull.h"
#include "worker/colleague.h"
#include "worker/long_call.h"

namespace grove {
namespace {

class PullCall {
 public:
  PullCall(Holdings& holdings, PullRequest request)
      : holdings_(holdings), request_(std::move(request)) {}

  Awaitable<Result<std::string>> run(LongCall& call) {
    auto const absent = co_await holdings_.offload.run(
        [&] { return holdings_.chunks.missing_or_damaged(request_.chunks); });
    tell_present(call, absent);
    if (absent.empty()) co_return std::string{};
    WorkerClient source(holdings_.http, request_.from, {});
    auto const answers = co_await check_answers(source);
    if (!answers) {
      for (Digest const& digest : absent) tell(call, {.chunk = digest, .error = answers.error()});
      count_failed(absent.size());
      co_return std::string{};
    }
    co_await fetch(call, source, absent);
    co_return std::string{};
  }

 private:
  void tell_present(LongCall& call, std::vector<Digest> const& absent) {
    std::unordered_set<Digest> told(absent.begin(), absent.end());
    for (Digest const& digest : request_.chunks) {
      if (told.insert(digest).second) tell(call, {.chunk = digest, .error = {}});
    }
  }

  Awaitable<void> fetch(LongCall& call, WorkerClient& source, std::vector<Digest> const& absent) {
    ChunkSink sink = [this](Digest const& digest, std::span<std::byte const> encoded,
                            std::span<std::byte const>) {
      holdings_.transfers.note();
      return holdings_.chunks.put(digest, encoded);
    };
    PullObserver observer = [this, &call](PullOutcome const& outcome) { tell(call, outcome); };
    PullOptions options;
    options.buffers = &holdings_.incoming;
    options.proof = Proof::by_sink;
    options.stop_after = StopAfter::unreachable_source;
    auto const outcomes = co_await pull_chunks(source, absent, std::move(sink), holdings_.offload,
                                               options, std::move(observer));
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
  pin(holdings, request, wanted.chunks);
  PullCall pull(holdings, std::move(wanted));
  LongWork work = [&pull](LongCall& call) { return pull.run(call); };
  co_return co_await answer_long_call(responder, json_lines, std::move(work));
}

}  // namespace grove
