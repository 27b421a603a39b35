// The master's port while `grove start -n N` waits: takes joins (POST /join), nothing else, until N
// workers are there at the same time; then each gets its rank and the whole config.
// A worker that goes away while others are still missed gives up its place.
// Threads: the executor it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/join_messages.h"
#include "net/asio.h"
#include "net/http_server.h"
#include "net/signal.h"
#include "plan/join_plan.h"

namespace grove {

class JoinDesk {
 public:
  struct Options {
    std::string address = "0.0.0.0";
    std::uint16_t port = master_port_default;
    std::size_t wanted = 0;
    std::vector<DeviceConfig> existing;  // the workers of the config so far
    std::vector<TakenAddress> taken;     // that no worker may get
    std::uint16_t api_port = 0;          // taken on this machine, as is `port`
  };
  JoinDesk(asio::any_io_executor executor, Options options);

  // Fails: conflict (the port is in use), invalid.
  Result<void> start();
  std::uint16_t port() const { return server_.port(); }  // after start()

  // Returns once all are there: their entries for the config, in the order they joined.
  // Fails: cancelled.
  Awaitable<Result<std::vector<DeviceConfig>>> wait_for_all();

  // Gives everybody who waits its rank and this config, which must be durable by now.
  void hand_out(std::string config);
  // Lets the answers go out, then closes. Must be awaited once started.
  Awaitable<void> stop();
  // Those that left before they had the answer that was handed out; after stop().
  std::vector<DeviceConfig> const& missed() const { return missed_; }

 private:
  struct Guest {
    std::string id;
    Joiner joiner;
    bool is_replaced = false;           // it has come again on another connection
    std::optional<DeviceConfig> place;  // once all are there
  };

  Awaitable<Result<void>> take(HttpRequest& request, HttpResponder& responder);
  Result<std::shared_ptr<Guest>> admit(JoinRequest request, std::string ip);
  Awaitable<Result<void>> serve(std::shared_ptr<Guest> guest, HttpResponder& responder);
  Awaitable<Result<void>> write_progress(HttpResponder& responder, std::size_t& told);
  Result<std::vector<DeviceConfig>> plan(std::vector<std::shared_ptr<Guest>> const& guests) const;
  void leave(std::shared_ptr<Guest> const& guest);
  HttpRouter router();

  Options options_;
  std::vector<std::shared_ptr<Guest>> guests_;
  bool is_complete_ = false;
  std::optional<std::string> config_;
  std::vector<DeviceConfig> missed_;
  Signal changed_;
  HttpServer server_;
};

}  // namespace grove
