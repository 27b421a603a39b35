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
  EXPECT_FALSE(presences_.is_down(three));
  look(false);
  EXPECT_TRUE(presences_.is_down(three));
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
  EXPECT_FALSE(presences_.is_down(three));
}

TEST_F(PresenceTest, AFullWorkerIsThereAllTheSame) {
  look(true, false);
  EXPECT_EQ(presences_.find(three)->presence, Presence::full);
  EXPECT_FALSE(presences_.is_down(three));
  look(false);
  look(false);
  EXPECT_TRUE(presences_.is_down(three));
}

TEST_F(PresenceTest, ForgetsWhoLeftTheConfig) {
  look(false);
  look(false);
  presences_.keep_only({Rank{1}});
  EXPECT_FALSE(presences_.is_down(three));
  EXPECT_EQ(presences_.find(three), nullptr);
}

}  // namespace
}  // namespace grove
