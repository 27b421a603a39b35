#include "plan/window_source.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace grove {

namespace {

using enum CopyPhase;

constexpr WindowSource push{.action = WindowAction::push};
constexpr WindowSource wait{.action = WindowAction::wait};
constexpr WindowSource pull_from(std::size_t copy) {
  return {.action = WindowAction::pull, .pull_from = copy};
}

using Copies = std::vector<CopyProgress>;

constexpr std::size_t windows_count = 3;

// Every state of `count` copies of a shard of windows_count windows.
std::vector<Copies> every_state(std::size_t count) {
  std::vector<Copies> states{{}};
  for (std::size_t copy = 0; copy < count; ++copy) {
    std::vector<Copies> longer;
    for (Copies const& state : states) {
      for (CopyPhase const phase : {running, waiting, failed, done}) {
        for (std::size_t acked = 0; acked <= windows_count; ++acked) {
          // One with every window is done; it has no next window to choose a source for.
          if ((phase == done) != (acked == windows_count)) {
            continue;
          }
          longer.push_back(state);
          longer.back().push_back({phase, acked});
        }
      }
    }
    states = std::move(longer);
  }
  return states;
}

}  // namespace

TEST(WindowSource, APrimaryAloneIsPushed) {
  EXPECT_EQ(choose_window_source(Copies{{running, 0}}, 0), push);
}

TEST(WindowSource, TheReplicaWaitsForTheWindowAndThenPullsIt) {
  EXPECT_EQ(choose_window_source(Copies{{running, 0}, {running, 0}}, 1), wait);
  EXPECT_EQ(choose_window_source(Copies{{running, 1}, {running, 0}}, 1), pull_from(0));
}

TEST(WindowSource, TheReplicaLeadsWhileThePrimaryWaitsOrHasFailed) {
  EXPECT_EQ(choose_window_source(Copies{{waiting, 0}, {running, 0}}, 1), push);
  EXPECT_EQ(choose_window_source(Copies{{failed, 2}, {running, 1}}, 1), push);
}

TEST(WindowSource, AWaitingCopyIsNotPulledFrom) {
  EXPECT_EQ(choose_window_source(Copies{{waiting, 2}, {running, 1}}, 1), push);
}

TEST(WindowSource, APrimaryThatComesBackPullsFromTheReplica) {
  EXPECT_EQ(choose_window_source(Copies{{running, 0}, {running, 2}}, 0), pull_from(1));
  EXPECT_EQ(choose_window_source(Copies{{running, 0}, {done, 3}}, 0), pull_from(1));
}

TEST(WindowSource, PullsFromTheFurthestAndTheLowestRoundAmongEquals) {
  EXPECT_EQ(choose_window_source(Copies{{running, 0}, {running, 1}, {running, 2}}, 0),
            pull_from(2));
  EXPECT_EQ(choose_window_source(Copies{{running, 2}, {running, 0}, {running, 2}}, 1),
            pull_from(0));
  EXPECT_EQ(choose_window_source(Copies{{running, 2}, {running, 0}, {done, 3}}, 1), pull_from(2));
}

// In whatever state failures have left the copies, one that runs can go on, at most one of them
// loads the coordinator's link, and nobody pulls what is not there.
TEST(WindowSource, NeverLetsAllRunningCopiesWait) {
  for (std::size_t count = 1; count <= 3; ++count) {
    for (Copies const& copies : every_state(count)) {
      std::size_t runs = 0;
      std::size_t waits = 0;
      std::size_t pushes = 0;
      for (std::size_t self = 0; self < count; ++self) {
        if (copies[self].phase != running) {
          continue;
        }
        ++runs;
        WindowSource const source = choose_window_source(copies, self);
        waits += source.action == WindowAction::wait ? 1 : 0;
        pushes += source.action == WindowAction::push ? 1 : 0;
        if (source.action == WindowAction::pull) {
          CopyProgress const& from = copies[source.pull_from];
          EXPECT_TRUE(from.phase == running || from.phase == done);
          EXPECT_GT(from.windows_acked, copies[self].windows_acked);
        }
      }
      EXPECT_TRUE(runs == 0 || waits < runs);
      EXPECT_LE(pushes, 1u);
    }
  }
}

// In whatever order three copies take their steps.
TEST(WindowSource, EveryScheduleWithoutFailuresPushesEachWindowOnce) {
  struct State {
    std::vector<std::size_t> acked;
    std::size_t pushed;
    auto operator<=>(State const&) const = default;
  };
  std::set<State> seen{{{0, 0, 0}, 0}};
  std::vector<State> pending(seen.begin(), seen.end());
  std::size_t ends = 0;
  while (!pending.empty()) {
    State const state = pending.back();
    pending.pop_back();
    Copies copies;
    for (std::size_t const acked : state.acked) {
      copies.push_back({acked == windows_count ? done : running, acked});
    }
    bool moved = false;
    for (std::size_t self = 0; self < copies.size(); ++self) {
      if (copies[self].phase != running) {
        continue;
      }
      WindowSource const source = choose_window_source(copies, self);
      if (source.action == WindowAction::wait) {
        continue;
      }
      moved = true;
      State next = state;
      ++next.acked[self];
      next.pushed += source.action == WindowAction::push ? 1 : 0;
      if (seen.insert(next).second) {
        pending.push_back(next);
      }
    }
    if (!moved) {
      ++ends;
      EXPECT_EQ(state.acked, (std::vector<std::size_t>(3, windows_count)));
      EXPECT_EQ(state.pushed, windows_count);
    }
  }
  EXPECT_EQ(ends, 1u);
}

}  // namespace grove
