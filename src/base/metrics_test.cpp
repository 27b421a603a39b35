#include "base/metrics.h"

#include <thread>
#include <tuple>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

bool has_line(Metrics const& metrics, std::string const& line) {
  return ("\n" + metrics.text()).find("\n" + line + "\n") != std::string::npos;
}

bool mentions(Metrics const& metrics, std::string const& word) {
  return metrics.text().find(word) != std::string::npos;
}

TEST(Metrics, ShowTheZerosOfWhatTheyWillCount) {
  Metrics const metrics({Role::coordinator});
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_store_operations_total{result="done"} 0)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_store_operations_total{result="failed"} 0)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_gather_operations_total{result="cancelled"} 0)"));
  EXPECT_TRUE(has_line(metrics, "smoltorrent_bytes_sent_total 0"));
  EXPECT_TRUE(has_line(metrics, "smoltorrent_repair_copies_made_total 0"));
  EXPECT_TRUE(has_line(Metrics({Role::watcher}),
                       R"(smoltorrent_watcher_skipped_total{reason="written_by_grove"} 0)"));
  EXPECT_TRUE(has_line(metrics, "smoltorrent_store_wall_seconds_count 0"));
  EXPECT_TRUE(has_line(metrics, "# TYPE smoltorrent_store_wall_seconds histogram"));
}

TEST(Metrics, HaveTheFamiliesOfTheirRolesOnly) {
  Metrics const worker({Role::worker});
  EXPECT_TRUE(mentions(worker, "smoltorrent_chunks_put_total"));
  EXPECT_FALSE(mentions(worker, "smoltorrent_store_operations_total"));
  EXPECT_FALSE(mentions(worker, "smoltorrent_watcher"));
  Metrics const both({Role::coordinator, Role::watcher});
  EXPECT_TRUE(mentions(both, "smoltorrent_store_operations_total"));
  EXPECT_TRUE(has_line(both, R"(smoltorrent_watcher_stores_total{result="done"} 0)"));
  EXPECT_FALSE(mentions(both, "smoltorrent_chunks_put_total"));
}

TEST(Metrics, CountUpwards) {
  Metrics metrics({Role::coordinator});
  metrics.add(Count::store_operations, {"failed"});
  metrics.add(Count::store_operations, {"failed"}, 2);
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_store_operations_total{result="failed"} 3)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_store_operations_total{result="done"} 0)"));
  metrics.raise_to(Count::bytes_sent, 1'000'000'007);
  metrics.raise_to(Count::bytes_sent, 12);
  EXPECT_TRUE(has_line(metrics, "smoltorrent_bytes_sent_total 1000000007"));
}

TEST(Metrics, AValueAppearsWithoutAnEvent) {
  Metrics metrics({Role::coordinator});
  EXPECT_FALSE(mentions(metrics, R"({rank="2"})"));
  metrics.add(Count::transfer_errors, {"2"}, 0);
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_transfer_errors_total{rank="2"} 0)"));
}

TEST(Metrics, ReplacingALevelForgetsItsOtherValues) {
  Metrics metrics({Role::coordinator});
  metrics.set(Level::worker_up, 1, {"1", "pi4-1"});
  metrics.replace(Level::worker_up, {{{"2", "pi4-2"}, 1}, {{"3", "pi4-3"}, 0}});
  EXPECT_FALSE(mentions(metrics, "pi4-1"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_worker_up{host="pi4-2",rank="2"} 1)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_worker_up{host="pi4-3",rank="3"} 0)"));
  metrics.set(Level::worker_up, 1, {"3", "pi4-3"});
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_worker_up{host="pi4-3",rank="3"} 1)"));
  metrics.replace(Level::worker_up, {});
  EXPECT_FALSE(mentions(metrics, "smoltorrent_worker_up"));
}

TEST(Metrics, PutATimingIntoEveryBucketThatIsLongEnough) {
  Metrics metrics({Role::worker});
  metrics.observe(Timing::sync_duration, 200ms);
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_sync_duration_seconds_bucket{le="0.1"} 0)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_sync_duration_seconds_bucket{le="0.3"} 1)"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_sync_duration_seconds_bucket{le="+Inf"} 1)"));
  EXPECT_TRUE(has_line(metrics, "smoltorrent_sync_duration_seconds_count 1"));
}

TEST(Metrics, KeepForeignTextInsideItsQuotes) {
  Metrics metrics({Role::coordinator});
  metrics.replace(Level::checkpoint_not_safe, {{{"a\"b\\c\nd", "lost"}, 1}});
  EXPECT_TRUE(has_line(metrics,
                       R"(smoltorrent_checkpoint_not_safe{identity="a\"b\\c\nd",state="lost"} 1)"));
}

TEST(Metrics, AreCountedByManyThreadsAtOnce) {
  Metrics metrics({Role::worker});
  auto const work = [&] {
    for (int i = 0; i < 1000; ++i) {
      metrics.add(Count::chunks_put);
      metrics.add(Count::pull_errors, {std::to_string(i % 3)});
      metrics.set(Level::refs_held, i);
      if (i % 100 == 0) std::ignore = metrics.text();
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_TRUE(has_line(metrics, "smoltorrent_chunks_put_total 2000"));
  EXPECT_TRUE(has_line(metrics, R"(smoltorrent_pull_errors_total{rank="0"} 668)"));
}

TEST(MetricsDeathTest, AForeignRolesFamilyIsABug) {
  Metrics metrics({Role::worker});
  EXPECT_DEATH(metrics.add(Count::store_operations, {"done"}), "family");
  EXPECT_DEATH(metrics.add(Count::pull_errors), "values.size");
}

}  // namespace
}  // namespace grove
