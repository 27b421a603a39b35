// One connection of the server: request after request until one side has enough. Checks what every
// request must pass (a sane head, our Host, no foreign Origin, a route), calls the handler, and
// draws the error line where the handler could not.
// Threads: the server's executor.
#pragma once

#include <chrono>
#include <optional>

#include "base/limits.h"
#include "net/connection.h"
#include "net/host_policy.h"
#include "net/http_parser.h"
#include "net/http_request.h"
#include "net/http_responder.h"
#include "net/http_router.h"
#include "net/http_traffic.h"

namespace grove {

struct HttpDeadlines {
  std::chrono::milliseconds keep_alive = limits::keep_alive_timeout;  // between two requests
  // The whole head, from its first byte on: one byte at a time does not keep a connection.
  std::chrono::milliseconds head = std::chrono::seconds(10);
  std::chrono::milliseconds body_idle = limits::idle_timeout;
  // A body must also come at this average, after a first body_idle: slow enough for four chunks at
  // once on a link of 1 Mb/s, too fast for one byte every three seconds.
  std::uint64_t body_bytes_per_second_min = 16 * limits::kib;
  // A person who pauses a stream in a terminal is no reason to cut it.
  std::chrono::milliseconds write_idle = std::chrono::seconds(30);
  std::chrono::milliseconds linger = std::chrono::seconds(2);
};

// What all sessions of a server share; outlives them.
struct HttpService {
  HttpRouter router;
  HostPolicy hosts;
  HttpDeadlines deadlines;
  bool is_stopping = false;
  HttpTraffic traffic;  // of requests that have been answered
};

class HttpSession {
 public:
  enum class Admission { served, refused };  // refused: every request is answered 503

  HttpSession(tcp::socket socket, HttpService& service, Admission admission);

  // Returns when the connection is done with.
  Awaitable<void> run();
  // Waits for a request or for the client to leave, so that nothing is lost when it is cut.
  bool is_idle() const { return is_idle_; }
  void cut() { connection_.close(); }

 private:
  struct Refusal;

  Awaitable<bool> serve_one();
  Awaitable<error_code> read_head(HttpParser<true>& parser);
  Awaitable<bool> answer_bad_head(HttpParser<true> const& parser, error_code error);
  std::optional<Refusal> refuse(HttpParser<true> const& parser) const;
  Awaitable<void> handle(HttpHandler const* handler, HttpRequest& request, HttpResponder& responder,
                         std::optional<Refusal> refusal);
  HttpResponder::Terms terms(HttpParser<true> const& parser, std::function<bool()> can_go_on) const;

  Connection connection_;
  HttpService& service_;
  Admission admission_;
  bool is_idle_ = true;
  bool must_linger_ = false;
};

}  // namespace grove
