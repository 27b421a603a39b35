// HTTP/1.1 calls over pooled connections, every await with a deadline, bodies streamed or bounded.
// A pooled connection that turns out to be dead before any answer came is replaced once, silently:
// every call in grove is idempotent. Retries beyond that are transfer/'s business.
// Threads: everything on the executor it is given.
#pragma once

#include <memory>

#include "base/error.h"
#include "net/asio.h"
#include "net/http_call.h"
#include "net/http_traffic.h"
#include "net/url.h"

namespace grove {

class HttpClient {
 public:
  explicit HttpClient(asio::any_io_executor executor);
  ~HttpClient();

  // Any status is a success here. Fails: unavailable (refused, reset, deadline: the message is
  // "pi4-3 (192.168.1.3:5003): connection refused"), internal (not HTTP, reply too large), invalid
  // (a target or header that cannot be sent), cancelled.
  Awaitable<Result<HttpReply>> call(Endpoint endpoint, HttpCall call);

  // Like call(), but a 2xx body goes to `sink` piece by piece as it arrives; the returned reply has
  // no body then. A reply of another status comes whole, as with call().
  Awaitable<Result<HttpReply>> call_streamed(Endpoint endpoint, HttpCall call, ReplySink sink);

  HttpTraffic traffic() const;

  // Closes idle connections.
  void close_idle();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace grove
