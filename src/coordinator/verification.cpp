#include "coordinator/verification.h"

#include <chrono>
#include <utility>

#include "base/limits.h"

namespace grove {

Verification::Verification(Services& services, Config config)
    : services_(services), config_(std::move(config)), changed_(services.executor) {}

void Verification::add_line(std::string_view line) {
  pending_ += line;
  pending_ += '\n';
  changed_.notify_all();
}

Awaitable<Result<void>> Verification::stream(HttpResponder& responder) {
  CO_TRY(co_await responder.start(200, "text/plain; charset=utf-8", std::nullopt, {}));
  TaskGroup tasks(services_.executor);
  for (std::size_t index = 0; index < config_.workers.size(); ++index) {
    tasks.spawn("verify", verify_and_count(index));
  }
  auto streamed = co_await stream_lines(responder);
  co_await tasks.stop(limits::shutdown_grace);
  if (streamed.has_error()) co_return streamed;
  CO_TRY(co_await responder.write_text(last_line() + "\n"));
  co_return co_await responder.finish();
}

Awaitable<void> Verification::verify_and_count(std::size_t index) {
  co_await verify(index);
  ++ended_count_;
  changed_.notify_all();
}

Awaitable<Result<void>> Verification::stream_lines(HttpResponder& responder) {
  while (ended_count_ < config_.workers.size() || !pending_.empty()) {
    if (pending_.empty()) {
      auto const deadline = std::chrono::steady_clock::now() + limits::progress_period;
      bool const woken = co_await changed_.wait_until(deadline);
      bool const cancelled = co_await is_cancelled();
      if (cancelled) co_return fail(ErrorKind::cancelled, "the stream was cut");
      if (woken) continue;
      pending_ = fmt::format("  {} of {} workers have re-read their copies\n", ended_count_,
                             config_.workers.size());
    }
    CO_TRY(co_await responder.write_text(std::exchange(pending_, {})));
  }
  co_return ok();
}

}  // namespace grove
