// An HTTP/1.1 server with a routing table: accept, limits, deadlines, keep-alive, streamed bodies.
// Knows nothing of checkpoints. Errors that a handler returns before it has sent anything become
// {"detail": "<message>", "kind": "<kind>"} with the kind's status (error_status); the error line
// is drawn here and nowhere else. After the first byte of an answer an error closes the connection,
// so that the client sees an answer that is not whole.
//
// Requests whose Host is not one of ours, or whose Origin is foreign, are refused (403): a web page
// in the user's browser cannot drive a coordinator or a worker (DNS rebinding, CSRF).
// Threads: everything runs on the executor it is given.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "net/asio.h"
#include "net/http_error.h"
#include "net/http_request.h"
#include "net/http_responder.h"
#include "net/http_router.h"
#include "net/http_session.h"
#include "net/task_group.h"

namespace grove {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // an IP or a name that resolves to one; "0.0.0.0" for all
  std::uint16_t port = 0;             // 0: any free port
  // Names and addresses a request's Host may carry, beside localhost, this machine's host name and
  // the address the connection came in on.
  std::vector<std::string> hosts;
  HttpDeadlines deadlines;
  std::size_t connections_max = limits::connections_max;  // those beyond are answered 503
};

class HttpServer {
 public:
  HttpServer(asio::any_io_executor executor, HttpRouter router, HttpServerOptions options);
  // Once started, it must have been stopped (asserted): requests must not outlive it.
  ~HttpServer();

  // Binds and begins to accept. Fails: conflict (port in use: the message names it), invalid.
  Result<void> start();
  std::uint16_t port() const;   // after start()
  HttpTraffic traffic() const;  // of requests that have been answered
  // Stops accepting, lets running requests finish for `grace`, then cuts them.
  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace grove
