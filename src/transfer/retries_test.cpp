// The retry loop of transfer/push.h by itself.
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "net/test_loop.h"
#include "transfer/push.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::chrono::seconds, 6> no_delays{};

// Something that fails with each error in turn and then succeeds; and who hears of it.
class Attempts {
 public:
  explicit Attempts(std::vector<Error> errors) : errors_(std::move(errors)) {}

  Awaitable<Result<void>> run(std::span<std::chrono::seconds const> delays) {
    return with_retries([this] { return attempt(); },
                        [this](RetryNotice const& notice) {
                          notices.push_back(notice);
                          on_notice();
                        },
                        delays);
  }

  std::size_t count = 0;
  std::vector<RetryNotice> notices;
  std::function<void()> on_notice = [] {};

 private:
  Awaitable<Result<void>> attempt() {
    if (count++ >= errors_.size()) co_return ok();
    co_return errors_[count - 1];
  }

  std::vector<Error> errors_;
};

std::vector<Error> refusals(std::size_t count) {
  std::vector<Error> errors;
  for (std::size_t index = 1; index <= count; ++index) {
    errors.push_back(fail(ErrorKind::unavailable, "refusal {}", index));
  }
  return errors;
}

Result<void> outcome_of(Attempts& attempts) {
  TestLoop loop;
  Result<void> outcome = ok();
  loop.run([&]() -> Awaitable<void> { outcome = co_await attempts.run(no_delays); });
  return outcome;
}

TEST(Retries, AreSixAfterOneTwoFourAndSoOnSeconds) {
  EXPECT_EQ(limits::retry_delays, (std::array<std::chrono::seconds, 6>{1s, 2s, 4s, 8s, 16s, 32s}));
}

TEST(Retries, AreNoneAfterASuccess) {
  Attempts attempts({});
  EXPECT_TRUE(outcome_of(attempts));
  EXPECT_EQ(attempts.count, 1u);
  EXPECT_TRUE(attempts.notices.empty());
}

TEST(Retries, GoOnUntilItSucceeds) {
  Attempts attempts(refusals(6));
  EXPECT_TRUE(outcome_of(attempts));
  EXPECT_EQ(attempts.count, 7u);
  ASSERT_EQ(attempts.notices.size(), 6u);
  for (std::size_t index = 0; index < 6; ++index) {
    EXPECT_EQ(attempts.notices[index].retry, index + 1);
    EXPECT_EQ(attempts.notices[index].error.message, fmt::format("refusal {}", index + 1));
  }
}

TEST(Retries, EndWithWhatTheLastOneSaid) {
  Attempts attempts(refusals(7));
  EXPECT_EQ(outcome_of(attempts).error(), (Error{ErrorKind::unavailable, "refusal 7"}));
  EXPECT_EQ(attempts.count, 7u);
  EXPECT_EQ(attempts.notices.size(), 6u);
}

TEST(Retries, AreNoneOfWhatNoRetryCanMend) {
  for (auto const kind : {ErrorKind::invalid, ErrorKind::not_found, ErrorKind::conflict,
                          ErrorKind::corrupt, ErrorKind::exhausted, ErrorKind::internal}) {
    Attempts attempts({fail(kind, "no")});
    EXPECT_EQ(outcome_of(attempts).error().kind, kind);
    EXPECT_EQ(attempts.count, 1u);
    EXPECT_TRUE(attempts.notices.empty());
  }
}

TEST(Retries, EndAtOnceWithAnErrorOfAnotherKind) {
  auto errors = refusals(2);
  errors.push_back(fail(ErrorKind::exhausted, "disk full"));
  Attempts attempts(std::move(errors));
  EXPECT_EQ(outcome_of(attempts).error(), (Error{ErrorKind::exhausted, "disk full"}));
  EXPECT_EQ(attempts.notices.size(), 2u);
}

TEST(Retries, EndWhenTheirTaskIsCancelledWhileTheyWait) {
  TestLoop loop;
  Attempts attempts(refusals(7));
  Result<void> outcome = ok();
  loop.run([&]() -> Awaitable<void> {
    TaskGroup group(loop.executor());
    attempts.on_notice = [&] { group.cancel(); };
    auto const retry = [&]() -> Awaitable<void> {
      outcome = co_await attempts.run(limits::retry_delays);
    };
    group.spawn("retry", retry());
    co_await group.wait();
  });
  EXPECT_EQ(outcome.error().kind, ErrorKind::cancelled);
  EXPECT_EQ(attempts.count, 1u);
  ASSERT_EQ(attempts.notices.size(), 1u);
  EXPECT_EQ(attempts.notices[0].delay, 1s);
}

}  // namespace
}  // namespace grove
