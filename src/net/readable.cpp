#include "net/readable.h"

#include <memory>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace grove {

Awaitable<bool> wait_readable(int fd, std::chrono::steady_clock::time_point deadline) {
  auto const executor = co_await asio::this_coro::executor;
  // Shared, since the timer's handler may run after this has returned.
  auto const descriptor = std::make_shared<asio::posix::stream_descriptor>(executor);
  error_code error;
  descriptor->assign(fd, error);
  if (error) co_return false;
  asio::steady_timer timer(executor, deadline);
  timer.async_wait([descriptor](error_code timer_error) {
    error_code ignored;
    if (!timer_error) descriptor->cancel(ignored);
  });
  auto const [wait_error] =
      co_await descriptor->async_wait(asio::posix::stream_descriptor::wait_read, as_result);
  timer.cancel();
  descriptor->release();
  co_return !wait_error;
}

}  // namespace grove
