#include "net/turns.h"

#include "net/test_loop.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

TEST(Turns, OthersRunBetweenThePiecesOfALongWork) {
  TestLoop loop;
  bool is_done = false;
  std::size_t others_count = 0;
  auto const others = [&]() -> Awaitable<void> {
    while (!is_done) {
      ++others_count;
      std::ignore = co_await sleep_for(1ms);
    }
  };
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("others", others());
    Turns turns;
    auto const end = std::chrono::steady_clock::now() + 100ms;
    std::size_t pieces_count = 0;
    while (std::chrono::steady_clock::now() < end) {
      co_await turns.next();
      ++pieces_count;
    }
    EXPECT_GT(pieces_count, others_count);
    is_done = true;
  });
  EXPECT_GT(others_count, 2U);
}

}  // namespace
}  // namespace grove
