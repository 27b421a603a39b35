#include "worker/long_call.h"

#include <chrono>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "net/task_group.h"
#include "transfer/worker_messages.h"

namespace grove {

void LongCall::emit(std::string_view text) {
  pending_ += text;
  changed_.notify_all();
}

// One answer: the work in a task of its own, the writing in the caller's.
class LongAnswer {
 public:
  LongAnswer(asio::any_io_executor executor, HttpResponder& responder, LongCallStyle style)
      : call_(executor), responder_(responder), style_(style) {}

  Awaitable<void> work(LongWork const& work) {
    auto result = co_await work(call_);
    result_.emplace(std::move(result));
    call_.changed_.notify_all();
  }

  Awaitable<Result<void>> write_until_done() {
    CO_TRY(co_await responder_.start(200, style_.content_type, std::nullopt, {}));
    while (!result_) {
      if (call_.pending_.empty()) {
        auto const next_beat = std::chrono::steady_clock::now() + limits::heartbeat_period;
        std::ignore = co_await call_.changed_.wait_until(next_beat);  // looked at below
      }
      bool const cancelled = co_await is_cancelled();
      if (cancelled) co_return fail(ErrorKind::cancelled, "long call: cancelled");
      if (result_) break;
      auto text = std::exchange(call_.pending_, {});
      if (text.empty()) text = style_.heartbeat;
      CO_TRY(co_await responder_.write_text(std::move(text)));
    }
    call_.pending_ += *result_ ? result_->value() : serialize_failure(result_->error());
    call_.pending_ += '\n';
    CO_TRY(co_await responder_.write_text(std::move(call_.pending_)));
    co_return co_await responder_.finish();
  }

  void give_up() { call_.is_wanted_ = false; }

 private:
  LongCall call_;
  HttpResponder& responder_;
  LongCallStyle style_;
  std::optional<Result<std::string>> result_;
};

Awaitable<Result<void>> answer_long_call(HttpResponder& responder, LongCallStyle style,
                                         LongWork work) {
  auto const executor = co_await asio::this_coro::executor;
  LongAnswer answer(executor, responder, style);
  TaskGroup group(executor);
  group.spawn("long call", answer.work(work));
  auto written = co_await answer.write_until_done();
  if (!written) {
    answer.give_up();
    group.cancel();
  }
  co_await group.wait();
  co_return written;
}

}  // namespace grove
