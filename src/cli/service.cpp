#include "cli/service.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "net/task_group.h"

namespace grove {
namespace {

constexpr int stopped_at_once = 130;  // 128 + SIGINT, as shells say it

Awaitable<void> exit_at_second_signal(asio::signal_set& signals) {
  auto const [error, signal] = co_await signals.async_wait(as_result);
  if (error) co_return;
  spdlog::warn("stopped at once");
  std::_Exit(stopped_at_once);
}

Awaitable<void> serve(asio::io_context& io, std::function<Result<void>()> start,
                      std::function<Awaitable<void>()> stop, int& status) {
  asio::signal_set signals(io, SIGINT, SIGTERM);
  if (auto started = start(); started.has_error()) {
    spdlog::critical("{}", started.error().message);
    status = EXIT_FAILURE;
    co_return;
  }
  auto const [error, signal] = co_await signals.async_wait(as_result);
  if (!error) spdlog::info("stopping; once more stops at once");
  TaskGroup second(io.get_executor());
  second.spawn("second signal", exit_at_second_signal(signals));
  co_await stop();
  signals.cancel();
  co_await second.wait();
  spdlog::info("stopped");
}

}  // namespace

int run_service(asio::io_context& io, std::function<Result<void>()> start,
                std::function<Awaitable<void>()> stop) {
  // A closed connection or pipe is an error code, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  int status = EXIT_SUCCESS;
  TaskGroup tasks(io.get_executor());
  tasks.spawn("service", serve(io, std::move(start), std::move(stop), status));
  io.run();
  return status;
}

void set_up_logs() {
  auto logger = spdlog::stderr_logger_mt("grove");
  bool const under_journald = std::getenv("JOURNAL_STREAM") != nullptr;
  logger->set_pattern(under_journald ? "%l %v" : "%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace grove
