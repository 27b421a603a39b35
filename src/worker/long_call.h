// Calls that take longer than a client waits for a byte: they answer 200 at once, send a
// white-space byte every heartbeat_period while they work, and end with their result or an error
// object. Threads: the worker's executor.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http_server.h"
#include "net/signal.h"

namespace grove {

// What the work of a long call sees of its client.
class LongCall {
 public:
  explicit LongCall(asio::any_io_executor executor) : changed_(std::move(executor)) {}

  // Sends `text` at once; the work does not wait for it, so it must be little.
  void emit(std::string_view text);
  // False once the client has gone away or the worker stops. From any thread.
  bool is_wanted() const { return is_wanted_.load(std::memory_order_relaxed); }

 private:
  friend class LongAnswer;
  Signal changed_;
  std::string pending_;
  std::atomic<bool> is_wanted_ = true;
};

// Does the work; returns what the answer ends with.
using LongWork = std::function<Awaitable<Result<std::string>>(LongCall&)>;

struct LongCallStyle {
  std::string_view content_type;
  std::string_view heartbeat;  // one byte
};
inline constexpr LongCallStyle json_document{"application/json", " "};
inline constexpr LongCallStyle json_lines{"application/x-ndjson", "\n"};

// Runs `work` beside the heartbeats. When the client goes away the work is cancelled; the call
// returns only when the work has ended.
Awaitable<Result<void>> answer_long_call(HttpResponder& responder, LongCallStyle style,
                                         LongWork work);

}  // namespace grove
