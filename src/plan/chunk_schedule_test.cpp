#include "plan/chunk_schedule.h"

#include <algorithm>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using Choice = ChunkSchedule::Choice;
using Fallback = ChunkSchedule::Fallback;
using Seconds = ChunkSchedule::Seconds;
using State = ChunkSchedule::State;
using Why = ChunkSchedule::Why;

constexpr std::uint32_t chunk_bytes = limits::chunk_bytes_max;

std::vector<std::uint32_t> chunks(std::size_t count) {
  return std::vector<std::uint32_t>(count, chunk_bytes);
}

// A gather of lists of equal chunks in the ring's order, played event by event: each worker has two
// requests under way and moves `speed` chunks a second, shared by those.
class Play {
 public:
  Play(std::vector<double> speeds, std::size_t chunks_per_list)
      : speeds_(std::move(speeds)), given_(speeds_.size()), wasted_(speeds_.size()) {
    auto const count = speeds_.size();
    for (std::size_t list = 0; list < count; ++list) {
      lists_.push_back(schedule.add({list, (list + 1) % count}, chunks(chunks_per_list)));
    }
  }

  void run(double until = 1e9) {
    while (now_ < until && is_running()) {
      begin_what_is_worth_it();
      // To the next end of a request, or a look at what has become slow meanwhile.
      double step = 0.1;
      for (auto const& request : requests_) step = std::min(step, request.left / rate_of(request));
      for (auto& request : requests_) request.left -= step * rate_of(request);
      now_ += step;
      end_what_is_there();
    }
  }
  void kill(std::size_t worker) {
    for (auto const& request : requests_) {
      if (request.worker == worker) schedule.failed(request.id, ErrorKind::unavailable);
    }
    std::erase_if(requests_, [&](Request const& each) { return each.worker == worker; });
    speeds_[worker] = 0;
  }

  bool is_complete() const { return all_are(State::complete); }
  double now() const { return now_; }
  std::size_t given(std::size_t worker) const { return given_[worker]; }
  std::size_t wasted_count() const { return std::accumulate(wasted_.begin(), wasted_.end(), 0u); }
  std::vector<std::size_t> served_by() const {
    std::vector<std::size_t> workers;
    for (auto const list : lists_) workers.push_back(schedule.served_by(list));
    return workers;
  }

  ChunkSchedule schedule;

 private:
  struct Request {
    ChunkSchedule::RequestId id = 0;
    std::size_t worker = 0;
    double left = 1;  // of the chunk
  };

  bool all_are(State state) const {
    return std::all_of(lists_.begin(), lists_.end(),
                       [&](auto list) { return schedule.state(list) == state; });
  }
  bool is_running() const {
    return std::any_of(lists_.begin(), lists_.end(),
                       [&](auto list) { return schedule.state(list) == State::running; });
  }
  std::size_t under_way(std::size_t worker) const {
    return static_cast<std::size_t>(
        std::count_if(requests_.begin(), requests_.end(),
                      [&](Request const& each) { return each.worker == worker; }));
  }
  double rate_of(Request const& request) const {
    return speeds_[request.worker] / static_cast<double>(under_way(request.worker));
  }

  void begin_what_is_worth_it() {
    for (std::size_t slot = 0; slot < limits::gets_in_flight_max; ++slot) {
      for (std::size_t worker = 0; worker < speeds_.size(); ++worker) {
        if (under_way(worker) > slot) continue;
        auto const choice = schedule.choose(worker, Seconds(now_));
        if (!choice) continue;
        auto const id = schedule.begin(worker, *choice, Seconds(now_));
        requests_.push_back({.id = id, .worker = worker, .left = 1});
      }
    }
  }
  void end_what_is_there() {
    for (std::size_t i = 0; i < requests_.size();) {
      auto const request = requests_[i];
      if (request.left > 1e-9) {
        ++i;
        continue;
      }
      requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
      ++given_[request.worker];
      for (auto const in_vain : schedule.got(request.id, Seconds(now_))) {
        auto const other = std::find_if(requests_.begin(), requests_.end(),
                                        [&](Request const& each) { return each.id == in_vain; });
        ASSERT_NE(other, requests_.end());
        ++wasted_[other->worker];
        requests_.erase(other);
        i = 0;
      }
    }
  }

  std::vector<double> speeds_;
  std::vector<ChunkSchedule::ListId> lists_;
  std::vector<Request> requests_;
  std::vector<std::size_t> given_;
  std::vector<std::size_t> wasted_;
  double now_ = 0;
};

TEST(ChunkSchedule, HasEqualWorkersServeTheirOwnShards) {
  Play play({3, 3, 3, 3}, 12);
  play.run();
  EXPECT_TRUE(play.is_complete());
  for (std::size_t worker = 0; worker < 4; ++worker) EXPECT_EQ(play.given(worker), 12u);
  EXPECT_EQ(play.wasted_count(), 0u);
  EXPECT_NEAR(play.now(), 4, 0.01);
  EXPECT_EQ(play.served_by(), (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_TRUE(play.schedule.take_fallbacks().empty());
}

TEST(ChunkSchedule, LetsTheOthersDoWhatASlowWorkerHasNoTimeFor) {
  Play play({3, 0.3, 3, 3}, 40);
  play.run();
  EXPECT_TRUE(play.is_complete());
  EXPECT_LE(play.wasted_count(), 2u);
  EXPECT_LE(play.given(1), 6u);
  // 160 chunks at 9.3 a second take 17.2 s; its own 40 would take it 133 s.
  EXPECT_LT(play.now(), 17.2 * 1.1);
}

TEST(ChunkSchedule, SaysThatAWorkerWasReplacedOnlyWhenItGaveNothing) {
  Play slow({3, 0.3, 3, 3}, 40);
  slow.run();
  EXPECT_EQ(slow.served_by(), (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_TRUE(slow.schedule.take_fallbacks().empty());

  Play stuck({3, 0.01, 3, 3}, 12);
  stuck.run();
  EXPECT_TRUE(stuck.is_complete());
  EXPECT_EQ(stuck.served_by(), (std::vector<std::size_t>{0, 2, 2, 3}));
  EXPECT_EQ(stuck.schedule.take_fallbacks(),
            (std::vector<Fallback>{{.list = 2, .next = 2, .failed = 1, .why = Why::outrun}}));
}

TEST(ChunkSchedule, GoesOnWithoutAWorkerThatDiesInTheMiddle) {
  Play play({3, 3, 3, 3}, 12);
  play.run(2.1);
  play.kill(1);
  EXPECT_EQ(play.schedule.take_fallbacks(),
            (std::vector<Fallback>{{.list = 2, .next = 2, .failed = 1, .why = Why::has_failed}}));
  play.run();
  EXPECT_TRUE(play.is_complete());
  EXPECT_EQ(play.served_by(), (std::vector<std::size_t>{0, 2, 2, 3}));
  EXPECT_EQ(play.wasted_count(), 0u);
  EXPECT_TRUE(play.schedule.take_fallbacks().empty());
}

TEST(ChunkSchedule, LosesAListWhenAllItsHoldersDie) {
  ChunkSchedule schedule;
  auto const first = schedule.add({0, 1}, chunks(3));
  auto const second = schedule.add({1, 2}, chunks(3));
  auto const ask = [&](std::size_t worker) {
    return schedule.begin(worker, *schedule.choose(worker, Seconds(0)), Seconds(0));
  };
  auto const request = ask(0);
  auto const another = ask(0);
  for (int i = 0; i < 2; ++i) schedule.unreachable(1);
  EXPECT_EQ(schedule.state(first), State::running);
  schedule.failed(request, ErrorKind::unavailable);
  EXPECT_EQ(schedule.state(first), State::lost);
  schedule.failed(another, ErrorKind::unavailable);
  EXPECT_FALSE(schedule.choose(0, Seconds(0)).has_value());
  EXPECT_EQ(schedule.state(second), State::running);
  EXPECT_EQ(schedule.take_fallbacks(),
            (std::vector<Fallback>{{.list = second, .next = 2, .failed = 1}}));
  // Later lists do without them from the start; one that is somewhere else now is asked again.
  auto const third = schedule.add({0, 2}, chunks(1));
  EXPECT_EQ(schedule.take_fallbacks(),
            (std::vector<Fallback>{{.list = third, .next = 2, .failed = 0}}));
  EXPECT_EQ(schedule.state(schedule.add({0, 1}, chunks(1))), State::lost);
  schedule.take_back(0);
  EXPECT_TRUE(schedule.choose(0, Seconds(0)).has_value());
}

TEST(ChunkSchedule, LeavesAWorkerOutThatFailedTwiceInARow) {
  ChunkSchedule schedule;
  auto const list = schedule.add({0, 1}, chunks(4));
  auto const ask = [&](std::size_t worker) {
    return schedule.begin(worker, *schedule.choose(worker, Seconds(0)), Seconds(0));
  };
  schedule.failed(ask(0), ErrorKind::unavailable);
  schedule.got(ask(0), Seconds(1));
  schedule.failed(ask(0), ErrorKind::internal);
  EXPECT_FALSE(schedule.is_left_out(0));
  schedule.failed(ask(0), ErrorKind::unavailable);
  EXPECT_TRUE(schedule.is_left_out(0));
  EXPECT_FALSE(schedule.choose(0, Seconds(1)).has_value());
  for (int i = 0; i < 3; ++i) schedule.got(ask(1), Seconds(1));
  EXPECT_EQ(schedule.state(list), State::complete);
}

TEST(ChunkSchedule, TakesEachChunkFromTheHolderWhoseCopyIsSound) {
  ChunkSchedule schedule;
  auto const list = schedule.add({0, 1}, chunks(2));
  auto const ask = [&](std::size_t worker) {
    return schedule.begin(worker, *schedule.choose(worker, Seconds(0)), Seconds(0));
  };
  auto const first = ask(0);
  auto const second = ask(0);
  EXPECT_FALSE(schedule.choose(1, Seconds(0)).has_value());
  schedule.failed(first, ErrorKind::corrupt);
  EXPECT_EQ(schedule.take_fallbacks(),
            (std::vector<Fallback>{{.list = list, .next = 1, .failed = 0}}));
  EXPECT_FALSE(schedule.choose(0, Seconds(0)).has_value());
  EXPECT_EQ(schedule.choose(1, Seconds(0)), (Choice{list, 0}));
  auto const again = ask(1);
  schedule.failed(second, ErrorKind::cancelled);
  EXPECT_EQ(schedule.choose(0, Seconds(0)), (Choice{list, 1}));
  EXPECT_TRUE(schedule.got(again, Seconds(1)).empty());
  EXPECT_EQ(schedule.served_by(list), 1u);
  // Nobody has a sound copy of the other.
  schedule.failed(ask(0), ErrorKind::not_found);
  EXPECT_EQ(schedule.state(list), State::running);
  schedule.failed(ask(1), ErrorKind::corrupt);
  EXPECT_EQ(schedule.state(list), State::lost);
  EXPECT_TRUE(schedule.take_fallbacks().empty());
}

TEST(ChunkSchedule, AsksASecondHolderForAChunkThatIsLateAndNeverAThird) {
  ChunkSchedule schedule;
  auto const list = schedule.add({0, 1, 2}, chunks(1));
  auto const others = schedule.add({1}, chunks(2));
  auto const known = schedule.add({2}, chunks(1));
  auto const late = schedule.begin(0, {list, 0}, Seconds(0));
  schedule.got(schedule.begin(1, {others, 0}, Seconds(0)), Seconds(1));
  schedule.got(schedule.begin(2, {known, 0}, Seconds(0)), Seconds(1));
  schedule.got(schedule.begin(1, {others, 1}, Seconds(0)), Seconds(1));
  EXPECT_FALSE(schedule.choose(1, Seconds(1.9)).has_value());
  EXPECT_EQ(schedule.choose(1, Seconds(2.1)), (Choice{list, 0}));
  auto const rescue = schedule.begin(1, {list, 0}, Seconds(2.1));
  EXPECT_FALSE(schedule.choose(2, Seconds(4)).has_value());
  EXPECT_EQ(schedule.got(rescue, Seconds(3)), std::vector<ChunkSchedule::RequestId>{late});
  EXPECT_EQ(schedule.state(list), State::complete);
  // What is said of it later does not matter.
  schedule.failed(late, ErrorKind::unavailable);
  EXPECT_FALSE(schedule.is_left_out(0));
  EXPECT_EQ(schedule.state(list), State::complete);
}

TEST(ChunkSchedule, HasNothingToAskWithoutChunksAndForgetsWhatIsRemoved) {
  ChunkSchedule schedule;
  EXPECT_FALSE(schedule.choose(7, Seconds(0)).has_value());
  EXPECT_EQ(schedule.state(schedule.add({0}, {})), State::complete);
  EXPECT_FALSE(schedule.choose(0, Seconds(0)).has_value());
  auto const list = schedule.add({0}, chunks(2));
  auto const request = schedule.begin(0, {list, 0}, Seconds(0));
  schedule.remove(list);
  EXPECT_FALSE(schedule.choose(0, Seconds(0)).has_value());
  EXPECT_TRUE(schedule.got(request, Seconds(1)).empty());
  schedule.failed(request, ErrorKind::unavailable);
  EXPECT_FALSE(schedule.is_left_out(0));
}

}  // namespace
}  // namespace grove
