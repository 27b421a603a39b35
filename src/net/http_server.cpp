#include "net/http_server.h"

#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "net/network_error.h"
#include "net/url.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

// Connections that are only told "too many"; those beyond these are closed at once.
constexpr std::size_t refusals_max = 64;
// Out of file descriptors: time for some connections to end.
constexpr auto accept_pause = 100ms;

Result<tcp::endpoint> resolve(asio::any_io_executor executor, HttpServerOptions const& options) {
  error_code error;
  auto const address = asio::ip::make_address(options.address, error);
  if (!error) return tcp::endpoint(address, options.port);
  tcp::resolver resolver(executor);
  auto const found = resolver.resolve(options.address, std::to_string(options.port), error);
  if (error || found.empty()) {
    return fail(ErrorKind::invalid, "cannot listen on {}: {}; use an address of this machine",
                options.address, error.message());
  }
  return found.begin()->endpoint();
}

std::vector<std::string> own_names(HttpServerOptions const& options) {
  auto names = options.hosts;
  error_code not_an_address;
  auto const address = asio::ip::make_address(options.address, not_an_address);
  // "0.0.0.0" means all addresses; as a Host it is nobody's name.
  if (not_an_address || !address.is_unspecified()) names.push_back(options.address);
  return names;
}

}  // namespace

struct HttpServer::State {
  State(asio::any_io_executor on, HttpRouter router, HttpServerOptions chosen)
      : executor(std::move(on)),
        options(std::move(chosen)),
        service{.router = std::move(router),
                .hosts = HostPolicy(own_names(options)),
                .deadlines = options.deadlines,
                .is_stopping = false,
                .traffic = {}},
        acceptor(executor),
        tasks(executor) {}

  Awaitable<void> accept();
  Awaitable<void> serve(tcp::socket socket);
  void admit(tcp::socket socket);

  asio::any_io_executor executor;
  HttpServerOptions options;
  HttpService service;
  tcp::acceptor acceptor;
  std::set<HttpSession*> sessions;
  TaskGroup tasks;
};

HttpServer::HttpServer(asio::any_io_executor executor, HttpRouter router, HttpServerOptions options)
    : state_(std::make_shared<State>(std::move(executor), std::move(router), std::move(options))) {}

HttpServer::~HttpServer() = default;

Result<void> HttpServer::start() {
  TRY(auto const endpoint, resolve(state_->executor, state_->options));
  auto& acceptor = state_->acceptor;
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    auto const where = join_host_port(state_->options.address, endpoint.port());
    error_code ignored;
    acceptor.close(ignored);
    if (error == asio::error::address_in_use) {
      return fail(ErrorKind::conflict,
                  "cannot listen on {}: the port is in use; stop the other program or choose "
                  "another port",
                  where);
    }
    return fail(ErrorKind::invalid,
                "cannot listen on {}: {}; use an address of this machine and a "
                "port that is allowed",
                where, error.message());
  }
  state_->tasks.spawn("accept", state_->accept());
  return ok();
}

std::uint16_t HttpServer::port() const {
  error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

HttpTraffic HttpServer::traffic() const {
  return state_->service.traffic;
}

Awaitable<void> HttpServer::State::accept() {
  while (!service.is_stopping) {
    auto [error, socket] = co_await acceptor.async_accept(as_result);
    if (!error) {
      admit(std::move(socket));
    } else if (!service.is_stopping) {
      bool const cancelled = co_await is_cancelled();
      if (cancelled) co_return;
      spdlog::warn("cannot accept a connection: {}", error.message());
      std::ignore = co_await sleep_for(accept_pause);  // the loop looks again either way
    }
  }
}

void HttpServer::State::admit(tcp::socket socket) {
  if (sessions.size() < options.connections_max + refusals_max) {
    tasks.spawn("connection", serve(std::move(socket)));
  }
}

Awaitable<void> HttpServer::State::serve(tcp::socket socket) {
  bool const has_room = sessions.size() < options.connections_max;
  HttpSession session(std::move(socket), service,
                      has_room ? HttpSession::Admission::served : HttpSession::Admission::refused);
  sessions.insert(&session);
  co_await session.run();
  sessions.erase(&session);
}

Awaitable<void> HttpServer::stop(std::chrono::milliseconds grace) {
  auto const state = state_;
  state->service.is_stopping = true;
  error_code ignored;
  state->acceptor.close(ignored);
  for (HttpSession* session : state->sessions) {
    if (session->is_idle()) session->cut();
  }
  auto const deadline = std::chrono::steady_clock::now() + grace;
  bool const ended = co_await state->tasks.wait_until(deadline);
  if (!ended) co_await state->tasks.stop(limits::shutdown_grace);
}

}  // namespace grove
