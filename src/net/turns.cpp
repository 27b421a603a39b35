#include "net/turns.h"

namespace grove {

Awaitable<void> Turns::next() {
  if (std::chrono::steady_clock::now() - began_ < turn) co_return;
  auto const executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  began_ = std::chrono::steady_clock::now();
}

}  // namespace grove
