#include "coordinator/presence.h"

#include <vector>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr Rank three{3};

class PresenceTest : public testing::Test {
 protected:
  PresenceTest() {
    presences_.on_change = [this](Rank, Presences::State const& before,
                                  Presences::State const& now) {
      changes_.push_back({before.presence, now.presence});
    };
  }
  void look(bool answers, bool has_room = true) {
    now_ += 5s;
    presences_.note(three, answers, has_room, answers ? "" : "no answer", now_);
  }

  Presence presence() const { return presences_.find(three)->presence; }

  asio::io_context loop_;
  Presences presences_{loop_.get_executor()};
  Presences::Clock::time_point now_{};
  std::vector<std::pair<Presence, Presence>> changes_;
};

TEST_F(PresenceTest, IsUpFromTheFirstAnswerOn) {
  EXPECT_EQ(presences_.find(three), nullptr);
  look(true);
  EXPECT_EQ(presences_.find(three)->presence, Presence::up);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(PresenceTest, IsLateAfterOneMissAndDownAfterTwo) {
  look(true);
  look(false);
  EXPECT_TRUE(presences_.is_any_late());
  EXPECT_NE(presence(), Presence::down);
  look(false);
  EXPECT_EQ(presence(), Presence::down);
  EXPECT_FALSE(presences_.is_any_late());
  auto const since = presences_.find(three)->since;
  look(false);
  EXPECT_EQ(presences_.find(three)->since, since);  // of the change, not of the last look
  look(true);
  EXPECT_EQ(changes_, (std::vector<std::pair<Presence, Presence>>{{Presence::up, Presence::late},
                                                                  {Presence::late, Presence::down},
                                                                  {Presence::down, Presence::up}}));
}

TEST_F(PresenceTest, AMissThatIsMadeGoodIsNoLoss) {
  look(false);
  look(true);
  look(false);
  EXPECT_NE(presence(), Presence::down);
}

TEST_F(PresenceTest, AFullWorkerIsThereAllTheSame) {
  look(true, false);
  EXPECT_EQ(presences_.find(three)->presence, Presence::full);
  EXPECT_NE(presence(), Presence::down);
  look(false);
  look(false);
  EXPECT_EQ(presence(), Presence::down);
}

TEST_F(PresenceTest, ForgetsWhoLeftTheConfig) {
  look(false);
  look(false);
  presences_.keep_only({Rank{1}});
  EXPECT_EQ(presences_.find(three), nullptr);
}

struct Change {
  Presence before;
  Presence now;
  char const* words;
};

class PresenceChange : public testing::TestWithParam<Change> {};

TEST_P(PresenceChange, HasALineOfItsOwn) {
  Presences::Clock::time_point const begun{};
  Presences::State const before{.presence = GetParam().before, .since = begun, .detail = {}};
  Presences::State const now{
      .presence = GetParam().now, .since = begun + 62s, .detail = "so it is"};
  EXPECT_EQ(words_of_change(before, now), GetParam().words);
}

INSTANTIATE_TEST_SUITE_P(
    Each, PresenceChange,
    testing::Values(
        Change{Presence::up, Presence::late, "is late: so it is"},
        Change{Presence::full, Presence::late, "is late: so it is"},
        Change{Presence::late, Presence::down, "is down: so it is"},
        Change{Presence::late, Presence::up, "answers again, after 62 s"},
        Change{Presence::down, Presence::up, "is up again, after 62 s"},
        Change{Presence::full, Presence::up, "has room again, after 62 s"},
        Change{Presence::up, Presence::full, "is full: so it is; free some space or lower reserve"},
        Change{Presence::late, Presence::full,
               "answers again, after 62 s, and is full: so it is; free some space or lower "
               "reserve"},
        Change{Presence::down, Presence::full,
               "is up again, after 62 s, and is full: so it is; free some space or lower "
               "reserve"}));

}  // namespace
}  // namespace grove
