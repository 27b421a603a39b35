#include "coordinator/join_desk.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/local_address.h"
#include "net/task_group.h"
#include "transfer/worker_messages.h"

namespace grove {
namespace {

constexpr char const* json_lines = "application/x-ndjson";

HttpServerOptions server_options(JoinDesk::Options const& options) {
  HttpServerOptions server;
  server.address = options.address;
  server.port = options.port;
  return server;
}

// "192.168.1.7:41234" → "192.168.1.7"
std::string host_part(std::string const& remote) {
  return remote.substr(0, remote.rfind(':'));
}

bool is_on_loopback(std::string const& ip) {
  error_code error;
  auto const address = asio::ip::make_address(ip, error);
  return !error && address.is_loopback();
}

bool is_on_this_machine(std::string const& ip) {
  if (is_on_loopback(ip)) return true;
  auto const own = local_address_towards(ip);
  return own.has_value() && own.value() == ip;
}

// A worker on this very machine may have come by the loopback, where no other machine reaches it:
// it gets the address that the others see of this machine.
void replace_loopback(std::vector<Joiner>& joiners) {
  auto const distant = std::find_if(joiners.begin(), joiners.end(), [](Joiner const& joiner) {
    return !is_on_loopback(joiner.ip);
  });
  if (distant == joiners.end()) return;
  auto const own = local_address_towards(distant->ip);
  if (own.has_error()) return;
  for (auto& joiner : joiners) {
    if (is_on_loopback(joiner.ip)) joiner.ip = own.value();
  }
}

}  // namespace

JoinDesk::JoinDesk(asio::any_io_executor executor, Options options)
    : options_(std::move(options)),
      changed_(executor),
      server_(executor, router(), server_options(options_)) {}

HttpRouter JoinDesk::router() {
  HttpRouter router;
  router.add(http::verb::post, "/join", [this](HttpRequest& request, HttpResponder& responder) {
    return take(request, responder);
  });
  return router;
}

Result<void> JoinDesk::start() {
  return server_.start();
}

Awaitable<Result<void>> JoinDesk::take(HttpRequest& request, HttpResponder& responder) {
  auto ip = host_part(request.remote_address());
  CO_TRY(auto const body, co_await request.read_body(limits::json_body_bytes_max));
  CO_TRY(auto join, parse_join(text_of(body)));
  CO_TRY(auto guest, admit(std::move(join), std::move(ip)));
  auto result = co_await serve(guest, responder);
  if (result.has_error()) leave(guest);
  co_return result;
}

Result<std::shared_ptr<JoinDesk::Guest>> JoinDesk::admit(JoinRequest request, std::string ip) {
  auto const same = std::find_if(guests_.begin(), guests_.end(),
                                 [&](auto const& guest) { return guest->id == request.id; });
  bool const is_known = same != guests_.end();
  if (!is_known && (is_complete_ || guests_.size() == options_.wanted)) {
    return fail(ErrorKind::conflict,
                "all {} workers have joined already; start the coordinator again with -n {}",
                options_.wanted, options_.wanted + 1);
  }
  auto guest = std::make_shared<Guest>();
  guest->id = std::move(request.id);
  guest->joiner = {.host = std::move(request.host),
                   .ip = std::move(ip),
                   .remembered = request.remembered,
                   .port = request.port};
  // What cannot stand in a config beside the others is refused here, and holds up nobody.
  auto guests = guests_;
  if (is_known) {
    guest->place = (*same)->place;
    guests[static_cast<std::size_t>(same - guests_.begin())] = guest;
  } else {
    guests.push_back(guest);
  }
  if (!is_complete_) {
    TRY(plan(guests));
  }
  if (is_known) (*same)->is_replaced = true;
  guests_ = std::move(guests);
  if (!is_known) {
    spdlog::info("{} ({}) has joined: {} of {} workers are there", guest->joiner.host,
                 guest->joiner.ip, guests_.size(), options_.wanted);
  }
  changed_.notify_all();
  return guest;
}

Result<std::vector<DeviceConfig>> JoinDesk::plan(
    std::vector<std::shared_ptr<Guest>> const& guests) const {
  std::vector<Joiner> joiners;
  for (auto const& guest : guests) joiners.push_back(guest->joiner);
  replace_loopback(joiners);
  auto taken = options_.taken;
  for (auto const& joiner : joiners) {
    if (!is_on_this_machine(joiner.ip)) continue;
    taken.push_back({.ip = joiner.ip, .port = options_.port});
    taken.push_back({.ip = joiner.ip, .port = options_.api_port});
  }
  return plan_join(options_.existing, joiners, taken);
}

Awaitable<Result<void>> JoinDesk::serve(std::shared_ptr<Guest> guest, HttpResponder& responder) {
  CO_TRY(co_await responder.start(200, json_lines, std::nullopt, {}));
  std::size_t told = 0;
  while (!config_ && !guest->is_replaced) {
    CO_TRY(co_await write_progress(responder, told));
    auto const deadline = std::chrono::steady_clock::now() + limits::heartbeat_period;
    std::ignore = co_await changed_.wait_until(deadline);  // the loop looks why
    bool const stop = co_await is_cancelled();
    if (stop) co_return fail(ErrorKind::cancelled, "the coordinator stopped waiting for workers");
  }
  if (guest->is_replaced) {
    auto const error =
        fail(ErrorKind::conflict, "this worker has joined again; its newer join goes on");
    CO_TRY(co_await responder.write_text(serialize_failure(error) + "\n"));
    co_return co_await responder.finish();
  }
  JoinGrant const grant{.rank = guest->place->rank, .config = *config_};
  CO_TRY(co_await responder.write_text(serialize_grant(grant) + "\n"));
  co_return co_await responder.finish();
}

Awaitable<Result<void>> JoinDesk::write_progress(HttpResponder& responder, std::size_t& told) {
  std::string line = "\n";
  if (told != guests_.size()) {
    told = guests_.size();
    line = serialize_progress({.joined = told, .wanted = options_.wanted}) + "\n";
  }
  co_return co_await responder.write_text(std::move(line));
}

void JoinDesk::leave(std::shared_ptr<Guest> const& guest) {
  if (guest->is_replaced) return;
  if (is_complete_) {
    if (config_) missed_.push_back(*guest->place);
    return;
  }
  std::erase(guests_, guest);
  spdlog::info("{} ({}) has left: {} of {} workers are there", guest->joiner.host, guest->joiner.ip,
               guests_.size(), options_.wanted);
  changed_.notify_all();
}

Awaitable<Result<std::vector<DeviceConfig>>> JoinDesk::wait_for_all() {
  while (guests_.size() < options_.wanted) {
    std::ignore = co_await changed_.wait();  // the loop looks why
    bool const stop = co_await is_cancelled();
    if (stop) co_return fail(ErrorKind::cancelled, "stopped waiting for workers");
  }
  CO_TRY(auto const devices, plan(guests_));
  for (std::size_t i = 0; i < guests_.size(); ++i) guests_[i]->place = devices[i];
  is_complete_ = true;
  co_return devices;
}

void JoinDesk::hand_out(std::string config) {
  GROVE_ASSERT(is_complete_);
  config_ = std::move(config);
  changed_.notify_all();
}

Awaitable<void> JoinDesk::stop() {
  co_await server_.stop(limits::shutdown_grace);
}

}  // namespace grove
