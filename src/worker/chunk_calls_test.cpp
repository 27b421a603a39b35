#include <string>

#include "base/bytes.h"
#include "worker/test_workers.h"

namespace grove {
namespace {

std::string chunk_target(std::string_view raw) {
  return "/chunks/" + sha256(raw).hex();
}

TEST(WorkerChunks, GivesBackAChunkAsItCame) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    std::string const raw = "some bytes";
    auto const encoded = chunk_of(raw);
    auto const put = co_await worker.put_chunk(sha256(raw), encoded.span());
    EXPECT_TRUE(put.has_value());
    auto const got = co_await worker.get_chunk(sha256(raw));
    EXPECT_EQ(text_of(got.value()), text_of(encoded));
  });
}

TEST(WorkerChunks, SaysWhichAreMissing) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_chunks(worker, texts("here"));
    std::vector<Digest> const asked{sha256("here"), sha256("absent")};
    auto const missing = co_await worker.missing(asked);
    EXPECT_EQ(missing.value(), std::vector<Digest>{sha256("absent")});
    auto const absent = co_await worker.get_chunk(sha256("absent"));
    EXPECT_EQ(kind_of(absent), ErrorKind::not_found);
  });
}

TEST(WorkerChunks, TakesTheLargestChunkAndNoLargerBody) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    std::string const raw(limits::chunk_bytes_max, 'x');
    auto const encoded = chunk_of(raw);
    EXPECT_EQ(encoded.size(), limits::encoded_chunk_bytes_max);
    auto const put = co_await worker.put_chunk(sha256(raw), encoded.span());
    EXPECT_TRUE(put.has_value());
    auto const got = co_await worker.get_chunk(sha256(raw));
    EXPECT_TRUE(got.has_value());
    Buffer const larger(limits::encoded_chunk_bytes_max + 1);
    auto const refused = co_await worker.put_chunk(sha256("larger"), larger.span());
    EXPECT_EQ(kind_of(refused), ErrorKind::invalid);
  });
}

TEST(WorkerChunks, RefusesBytesThatDoNotMatchTheirName) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const encoded = chunk_of("other bytes");
    auto const put = co_await worker.put_chunk(sha256("some bytes"), encoded.span());
    EXPECT_EQ(kind_of(put), ErrorKind::corrupt);
    std::vector<Digest> const asked{sha256("some bytes"), sha256("other bytes")};
    auto const missing = co_await worker.missing(asked);
    EXPECT_EQ(missing.value(), asked);
  });
}

TEST(WorkerChunks, AnswersWithTheStatusesOfTheTable) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    std::string const encoded(text_of(chunk_of("raw")));
    auto reply = co_await workers.ask(rank_1, http::verb::put, chunk_target("raw"), encoded);
    EXPECT_EQ(reply.status, 204u);
    reply = co_await workers.ask(rank_1, http::verb::put, chunk_target("wrong"), encoded);
    EXPECT_EQ(reply.status, 422u);
    EXPECT_NE(reply.text().find(R"("kind":"corrupt")"), std::string_view::npos) << reply.text();
    reply = co_await workers.ask(rank_1, http::verb::get, chunk_target("absent"));
    EXPECT_EQ(reply.status, 404u);
    reply = co_await workers.ask(rank_1, http::verb::get, "/chunks/" + std::string(64, 'A'));
    EXPECT_EQ(reply.status, 400u);
    reply = co_await workers.ask(rank_1, http::verb::delete_, chunk_target("raw"));
    EXPECT_EQ(reply.status, 405u);
  });
}

TEST(WorkerChunks, RefusesACallMeantForAnotherWorker) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto address = workers.address(rank_1);
    address.id = std::string(32, '0');
    WorkerClient stranger(workers.http(), address, "job");
    auto const encoded = chunk_of("raw");
    auto const put = co_await stranger.put_chunk(sha256("raw"), encoded.span());
    EXPECT_EQ(kind_of(put), ErrorKind::conflict);
    auto const health = co_await stranger.health();
    EXPECT_EQ(kind_of(health), ErrorKind::unavailable);
  });
}

TEST(WorkerChunks, KeepsNothingOfABodyThatEndsEarly) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    std::string const encoded(text_of(chunk_of("raw bytes")));
    {
      HttpProbe probe(workers.loop().executor(), workers.address(rank_1).endpoint.port);
      co_await probe.connect();
      co_await probe.send(
          fmt::format("PUT {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n"
                      "\r\n{}",
                      chunk_target("raw bytes"), encoded.size() + 1, encoded));
      probe.close();
    }
    auto worker = workers.client(rank_1);
    std::vector<Digest> const asked{sha256("raw bytes")};
    auto const missing = co_await worker.missing(asked);
    EXPECT_EQ(missing.value(), asked);
  });
}

TEST(WorkerChunks, RefusesALyingLengthInsideTheChunk) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto const encoded = chunk_of("raw bytes");
    auto worker = workers.client(rank_1);
    auto const cut = encoded.span().first(encoded.size() - 1);
    auto const put = co_await worker.put_chunk(sha256("raw bytes"), cut);
    EXPECT_EQ(kind_of(put), ErrorKind::corrupt);
  });
}

TEST(WorkerChunks, SyncMakesThemSurviveARestart) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put_chunks(worker, texts("synced"));
    auto const synced = co_await worker.sync();
    EXPECT_TRUE(synced.has_value());
    co_await workers.stop(rank_1);
    workers.start(rank_1);
    auto restarted = workers.client(rank_1);
    auto const got = co_await restarted.get_chunk(sha256("synced"));
    EXPECT_TRUE(got.has_value());
  });
}

TEST(WorkerChunks, CollectionSparesWhatALeasePins) {
  TestWorkers workers(1);
  workers.grace = std::chrono::seconds(0);
  workers.run([&]() -> Awaitable<void> {
    auto pinned = workers.client(rank_1, "job");
    co_await put_chunks(pinned, texts("pinned"));
    auto loose = workers.client(rank_1, "");
    co_await put_chunks(loose, texts("loose"));
    auto const synced = co_await pinned.sync();
    EXPECT_TRUE(synced.has_value());
    auto const reply = co_await workers.ask(rank_1, http::verb::post, "/gc");
    EXPECT_EQ(reply.status, 200u);
    EXPECT_NE(reply.text().find(R"("chunks_removed":1)"), std::string_view::npos) << reply.text();
    std::vector<Digest> const asked{sha256("pinned"), sha256("loose")};
    auto const missing = co_await pinned.missing(asked);
    EXPECT_EQ(missing.value(), std::vector<Digest>{sha256("loose")});
  });
}

TEST(WorkerChunks, AskingWhatIsMissingPinsIt) {
  TestWorkers workers(1);
  workers.grace = std::chrono::seconds(0);
  workers.run([&]() -> Awaitable<void> {
    auto loose = workers.client(rank_1, "");
    co_await put_chunks(loose, texts("asked for"));
    auto const synced = co_await loose.sync();
    EXPECT_TRUE(synced.has_value());
    auto job = workers.client(rank_1, "job");
    std::vector<Digest> const asked{sha256("asked for")};
    auto missing = co_await job.missing(asked);
    EXPECT_TRUE(missing.value().empty());
    co_await workers.ask(rank_1, http::verb::post, "/gc");
    missing = co_await job.missing(asked);
    EXPECT_TRUE(missing.value().empty());
  });
}

}  // namespace
}  // namespace grove
