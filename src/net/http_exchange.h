// One request and its reply on one connection.
// Not here: which connection, and what to do when it was dead (http_client.cpp).
// Threads: the connection's executor.
#pragma once

#include <string>

#include "net/connection.h"
#include "net/http_body.h"
#include "net/http_call.h"
#include "net/http_parser.h"
#include "net/http_traffic.h"

namespace grove {

class HttpExchange {
 public:
  // All must outlive the exchange. `sink` is empty where the reply is wanted whole.
  HttpExchange(Connection& connection, Endpoint const& endpoint, HttpCall const& call,
               ReplySink const& sink, HttpTraffic& traffic);

  Awaitable<Result<HttpReply>> run();

  // After a failure: the peer had closed the connection before this request reached it.
  bool was_dead() const;
  // The connection can carry another request.
  bool can_reuse() const { return can_reuse_; }

 private:
  std::string request_head() const;
  Awaitable<error_code> send();
  Awaitable<Result<HttpReply>> read_reply();
  Awaitable<error_code> read_head(HttpParser<false>& parser);
  Awaitable<Result<void>> hand_on(BodyReader<false>& reader);
  Error error_of(error_code error);
  Connection::Clock::time_point deadline() const;

  Connection& connection_;
  Endpoint const& endpoint_;
  HttpCall const& call_;
  ReplySink const& sink_;
  HttpTraffic& traffic_;
  error_code failure_;
  bool has_answer_ = false;  // a byte of it at least
  bool can_reuse_ = false;
};

}  // namespace grove
