#include "coordinator/job.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "net/test_loop.h"

namespace grove {
namespace {

using Lines = std::vector<std::string>;

Job a_job(TestLoop& loop, JobKind kind = JobKind::store) {
  return Job(loop.executor(), "7", kind, "run1/step_100/model.safetensors");
}

// What a client sees that follows the job from its first line.
Awaitable<void> follow(Job& job, Lines& seen) {
  while (true) {
    bool const is_there = co_await job.wait_beyond(seen.size());
    if (!is_there) co_return;
    if (seen.size() == job.lines().size()) co_return;  // finished, and all is read
    seen.push_back(job.lines()[seen.size()]);
  }
}

TEST(Job, SaysWhatItIs) {
  TestLoop loop;
  auto const job = a_job(loop, JobKind::gather);
  EXPECT_EQ(job.id(), "7");
  EXPECT_EQ(job.identity(), "run1/step_100/model.safetensors");
  EXPECT_EQ(to_string(job.kind()), "gather");
  EXPECT_EQ(to_string(JobKind::store), "store");
  EXPECT_GT(job.started_ms(), 0);
}

TEST(Job, IsQueuedThenRunningThenDone) {
  TestLoop loop;
  auto job = a_job(loop);
  EXPECT_EQ(to_string(job.state()), "queued");
  job.begin();
  EXPECT_EQ(to_string(job.state()), "running");
  EXPECT_FALSE(job.is_finished());
  EXPECT_EQ(job.finished_ms(), 0);
  job.finish("Done: x");
  EXPECT_EQ(to_string(job.state()), "done");
  EXPECT_TRUE(job.is_finished());
  EXPECT_GE(job.finished_ms(), job.started_ms());
  EXPECT_EQ(job.lines(), Lines{"Done: x"});
}

TEST(Job, ThatFailsEndsWithItsErrorAsTheLastLine) {
  TestLoop loop;
  auto job = a_job(loop);
  job.begin();
  job.fail_with({ErrorKind::not_found, "checkpoint not found: /ckpt/x"});
  EXPECT_EQ(to_string(job.state()), "failed");
  EXPECT_TRUE(job.is_finished());
  EXPECT_GE(job.finished_ms(), job.started_ms());
  EXPECT_EQ(job.lines(), Lines{"ERROR: checkpoint not found: /ckpt/x"});
}

TEST(Job, GivesEveryFollowerEveryLineWheneverItCame) {
  TestLoop loop;
  auto job = a_job(loop);
  Lines early;
  Lines late;
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("early", follow(job, early));
    job.add_line("one");
    co_await settle();
    EXPECT_EQ(early, Lines{"one"});
    job.add_line("two");
    loop.tasks().spawn("late", follow(job, late));
    job.add_line("three");
    co_await settle();
    EXPECT_EQ(late, (Lines{"one", "two", "three"}));
    job.finish("Done: x");
  });
  EXPECT_EQ(early, (Lines{"one", "two", "three", "Done: x"}));
  EXPECT_EQ(late, early);
}

TEST(Job, KeepsTheFirstAndTheLastLinesWhereTheyAreManyAndOld) {
  TestLoop loop;
  auto job = a_job(loop);
  for (int number = 1; number <= 9; ++number) job.add_line(std::to_string(number));
  job.finish("Done: 10");
  job.shorten(9);
  EXPECT_EQ(job.lines().size(), 10u);
  job.shorten(4);
  EXPECT_EQ(job.lines(),
            (Lines{"1", "2", "  … 6 lines are in the coordinator's log", "9", "Done: 10"}));
}

TEST(Job, KeepsNobodyWaitingForALineThatIsThere) {
  TestLoop loop;
  auto job = a_job(loop);
  job.add_line("one");
  bool is_waiting = true;
  loop.run([&]() -> Awaitable<void> {
    bool const has_first = co_await job.wait_beyond(0);
    EXPECT_TRUE(has_first);
    auto const wait_for_second = [&]() -> Awaitable<void> {
      bool const has_second = co_await job.wait_beyond(1);
      EXPECT_TRUE(has_second);
      is_waiting = false;
    };
    loop.tasks().spawn("wait", wait_for_second());
    co_await settle();
    EXPECT_TRUE(is_waiting);
    job.add_line("two");
    co_await settle();
    EXPECT_FALSE(is_waiting);
  });
}

TEST(Job, KeepsNobodyWaitingOnceItIsFinished) {
  TestLoop loop;
  auto job = a_job(loop);
  job.finish("Done: x");
  loop.run([&]() -> Awaitable<void> {
    bool const beyond = co_await job.wait_beyond(100);
    EXPECT_TRUE(beyond);
    bool const finished = co_await job.wait_finished();
    EXPECT_TRUE(finished);
  });
}

TEST(Job, IsAwaitedToItsEndNotToItsNextLine) {
  TestLoop loop;
  auto job = a_job(loop);
  bool is_over = false;
  // Out here, since it goes on after the coroutine below has ended.
  auto const wait = [&]() -> Awaitable<void> { is_over = co_await job.wait_finished(); };
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("wait", wait());
    job.add_line("one");
    co_await settle();
    EXPECT_FALSE(is_over);
    job.fail_with({ErrorKind::internal, "x"});
  });
  EXPECT_TRUE(is_over);
}

TEST(Job, GoesOnWhenAFollowerLeaves) {
  TestLoop loop;
  auto job = a_job(loop);
  Lines seen;
  bool has_ended = true;
  loop.run([&]() -> Awaitable<void> {
    TaskGroup leaving(loop.executor());
    auto const wait = [&]() -> Awaitable<void> { has_ended = co_await job.wait_finished(); };
    leaving.spawn("follow", follow(job, seen));
    leaving.spawn("wait", wait());
    job.add_line("one");
    co_await settle();
    leaving.cancel();
    co_await leaving.wait();
    job.add_line("two");
  });
  EXPECT_EQ(seen, Lines{"one"});
  EXPECT_FALSE(has_ended);
  EXPECT_FALSE(job.is_finished());
  EXPECT_EQ(job.lines(), (Lines{"one", "two"}));
}

TEST(Job, CountsItsBytes) {
  TestLoop loop;
  auto job = a_job(loop);
  EXPECT_EQ(job.bytes_per_second(), 0.0);
  job.begin();
  job.set_bytes_total(100);
  job.add_bytes_done(30);
  job.add_bytes_done(40);
  EXPECT_EQ(job.bytes_total(), 100u);
  EXPECT_EQ(job.bytes_done(), 70u);
  EXPECT_GT(job.bytes_per_second(), 0.0);
}

TEST(Job, ReportsNoProgressOnceItIsFinished) {
  TestLoop loop;
  auto job = a_job(loop);
  job.finish("Done: x");
  loop.run([&]() -> Awaitable<void> { co_await job.report_progress(); });
  EXPECT_EQ(job.lines(), Lines{"Done: x"});
}

TEST(Job, ReportsThatItWaitsAndThenHowFarItIs) {
  TestLoop loop;
  auto job = a_job(loop);
  job.set_bytes_total(10 * limits::mib);
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("report", job.report_progress(std::chrono::milliseconds(1)));
    bool const reported = co_await job.wait_beyond(0);
    EXPECT_TRUE(reported);
    EXPECT_EQ(job.lines().back(), "  … waiting");
    job.begin();
    job.add_bytes_done(limits::mib);
    bool const reported_again = co_await job.wait_beyond(job.lines().size());
    EXPECT_TRUE(reported_again);
    EXPECT_TRUE(job.lines().back().starts_with("  … 1.0 of 10.0 MB, ")) << job.lines().back();
    job.finish("Done: x");
  });
  EXPECT_EQ(job.lines().back(), "Done: x") << "no progress after the end";
}

TEST(Job, EndsReportingWithItsLastLine) {
  TestLoop loop;
  auto job = a_job(loop);
  auto const begin = std::chrono::steady_clock::now();
  loop.run([&]() -> Awaitable<void> {
    loop.tasks().spawn("report", job.report_progress(std::chrono::hours(1)));
    co_await settle();
    job.finish("Done: x");
  });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, limits::progress_period);
  EXPECT_EQ(job.lines(), Lines{"Done: x"});
}

TEST(Job, StopsReportingWhenTold) {
  TestLoop loop;
  auto job = a_job(loop);
  auto const begin = std::chrono::steady_clock::now();
  loop.run([&]() -> Awaitable<void> {
    TaskGroup reporting(loop.executor());
    reporting.spawn("report", job.report_progress());
    co_await settle();
    reporting.cancel();
    co_await reporting.wait();
  });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, limits::progress_period);
  EXPECT_TRUE(job.lines().empty());
}

}  // namespace
}  // namespace grove
