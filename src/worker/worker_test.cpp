#include "worker/worker.h"

#include <string>

#include "worker/test_workers.h"

namespace grove {
namespace {

TEST(Worker, RefusesAFolderThatAnotherHolds) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto const second = Worker::open(workers.loop().executor(), workers.options(rank_1));
    EXPECT_EQ(kind_of(second), ErrorKind::conflict);
    co_return;
  });
}

TEST(Worker, RefusesTheFolderOfAnotherRank) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    co_await workers.stop(rank_1);
    auto options = workers.options(rank_2);
    options.data = workers.data(rank_1);
    auto const other = Worker::open(workers.loop().executor(), std::move(options));
    EXPECT_EQ(kind_of(other), ErrorKind::invalid);
  });
}

TEST(Worker, RefusesARankThatTheConfigDoesNotHave) {
  TestWorkers workers(1);
  auto options = workers.options(rank_1);
  options.rank = Rank{9};
  auto const worker = Worker::open(workers.loop().executor(), std::move(options));
  EXPECT_EQ(kind_of(worker), ErrorKind::invalid);
  EXPECT_FALSE(std::filesystem::exists(workers.data(rank_1)));
}

TEST(Worker, TakesAnEmptyFolderForANewDiskOnlyWhenTold) {
  TestWorkers workers(1);
  auto options = workers.options(rank_1);
  options.empty = EmptyFolder::refuse;
  auto const worker = Worker::open(workers.loop().executor(), std::move(options));
  EXPECT_EQ(kind_of(worker), ErrorKind::invalid);
}

TEST(Worker, SaysThatItsPortIsInUse) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto const port = workers.address(rank_1).endpoint.port;
    co_await workers.stop(rank_2);
    auto options = workers.options(rank_2);
    options.port_override = port;
    auto worker = Worker::open(workers.loop().executor(), std::move(options));
    EXPECT_TRUE(worker.has_value());
    EXPECT_EQ(kind_of(worker.value()->start()), ErrorKind::conflict);
  });
}

TEST(Worker, AnswersToItsNameInTheConfigAndToNoForeignOne) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    for (auto const& [host, status] : std::vector<std::pair<std::string, unsigned>>{
             {"pi4-1", 200}, {"127.0.0.1:80", 200}, {"evil.example", 403}}) {
      HttpProbe probe(workers.loop().executor(), workers.address(rank_1).endpoint.port);
      co_await probe.connect();
      auto const answer =
          co_await probe.ask(fmt::format("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", host));
      EXPECT_EQ(status_of(answer), status) << answer;
    }
  });
}

TEST(Worker, ScrubReportsWhatItRead) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_shard(worker, "run1/model.pt", Generation{1}, texts("a", "b"));
    auto const reply = co_await workers.ask(rank_1, http::verb::post, "/scrub");
    EXPECT_EQ(reply.status, 200u);
    EXPECT_NE(reply.text().find(R"("chunks_read":2)"), std::string_view::npos) << reply.text();
    EXPECT_NE(reply.text().find(R"("damaged":[])"), std::string_view::npos) << reply.text();
    EXPECT_NE(reply.text().find(R"("refs_verified":1)"), std::string_view::npos) << reply.text();
    auto const inventory = co_await worker.inventory({});
    EXPECT_TRUE(inventory.value().refs.front().verified_ms.has_value());
  });
}

// The value of one line of GET /metrics; empty where there is none.
TEST(Worker, AScrubThatIsAskedForDoesNotWaitForAPacedOne) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_shard(worker, "run1/model.pt", Generation{1}, texts("a", "b"));
    bool is_paced_over = false;
    auto const paced = [&]() -> Awaitable<void> {
      std::ignore = co_await workers.ask(rank_1, http::verb::post, "/scrub?unverified_for_ms=0");
      is_paced_over = true;
    };
    TaskGroup tasks(workers.loop().executor());
    tasks.spawn("paced scrub", paced());  // the chunks that just came keep it waiting
    auto const reply = co_await workers.ask(rank_1, http::verb::post, "/scrub");
    EXPECT_NE(reply.text().find(R"("chunks_read":2)"), std::string_view::npos) << reply.text();
    EXPECT_FALSE(is_paced_over);
    co_await tasks.wait();
    auto const text = co_await workers.ask(rank_1, http::verb::get, "/metrics");
    // What one has just read the other need not.
    EXPECT_GE(std::stoi(metric(text.text(), "smoltorrent_scrub_chunks_total")), 2);
  });
}

TEST(Worker, TellsPrometheusWhatItHoldsAndWhatBecameOfIt) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_shard(worker, "run1/model.pt", Generation{1}, texts("a", "b"));
    auto other = workers.client(rank_2);
    std::vector<WantedChunk> const wanted{{sha256("a")}, {sha256("never stored")}};
    std::ignore = co_await other.pull(workers.address(rank_1), wanted);
    workers.damage_chunk(rank_1, sha256("b"));
    std::ignore = co_await workers.ask(rank_1, http::verb::post, "/scrub");

    auto const reply = co_await workers.ask(rank_1, http::verb::get, "/metrics");
    auto const text = reply.text();
    EXPECT_EQ(metric(text, "smoltorrent_chunks_put_total"), "2");
    EXPECT_EQ(metric(text, "smoltorrent_chunks_served_total"), "1");
    EXPECT_EQ(metric(text, "smoltorrent_copies_held"), "1");
    EXPECT_EQ(metric(text, "smoltorrent_refs_held"), "1");
    EXPECT_EQ(metric(text, "smoltorrent_damaged_refs"), "1");
    EXPECT_EQ(metric(text, "smoltorrent_scrub_chunks_total"), "2");
    EXPECT_EQ(metric(text, "smoltorrent_scrub_damaged_chunks_total"), "1");
    EXPECT_EQ(metric(text, "smoltorrent_quarantined_files"), "1");
    EXPECT_NE(metric(text, "smoltorrent_last_scrub_timestamp_seconds"), "");
    EXPECT_NE(metric(text, "smoltorrent_bytes_received_total"), "0");
    EXPECT_NE(metric(text, "smoltorrent_disk_size_bytes"), "");
    // Two chunks, each in a folder of its own.
    EXPECT_EQ(metric(text, "smoltorrent_disk_syncs_total"), "4");

    auto const pulled = co_await workers.ask(rank_2, http::verb::get, "/metrics/");
    EXPECT_EQ(metric(pulled.text(), "smoltorrent_chunks_pulled_total"), "1");
    EXPECT_EQ(metric(pulled.text(), R"(smoltorrent_pull_errors_total{rank="1"})"), "1");
    EXPECT_EQ(metric(pulled.text(), "smoltorrent_last_scrub_timestamp_seconds"), "");
  });
}

TEST(Worker, CollectsNothingBeforeAGracePeriodHasPassed) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1, "");
    co_await put_chunks(worker, texts("loose"));
    auto const synced = co_await worker.sync();
    EXPECT_TRUE(synced.has_value());
    auto const reply = co_await workers.ask(rank_1, http::verb::post, "/gc");
    EXPECT_NE(reply.text().find(R"("chunks_removed":0)"), std::string_view::npos) << reply.text();
  });
}

TEST(Worker, EndsWhenTheDiskDoesNotTakeWhatItWasGiven) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_chunks(worker, texts("lost"));
    auto const prefix = sha256("lost").hex().substr(0, 2);
    std::filesystem::remove(workers.data(rank_1) / "chunks" / prefix);
    auto const synced = co_await worker.sync();
    EXPECT_FALSE(synced.has_value());
    EXPECT_EQ(workers.fatal_errors.size(), 1u);
  });
}

}  // namespace
}  // namespace grove
