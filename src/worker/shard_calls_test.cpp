#include <string>

#include "worker/test_workers.h"

namespace grove {
namespace {

constexpr std::string_view target = "/shards/run1%2Fmodel.pt/0";
std::string const content = "0123456789abcdef";

// A worker with one opaque checkpoint of `content` in two chunks.
Awaitable<void> put_checkpoint(TestWorkers& workers) {
  auto worker = workers.client(rank_1);
  auto const shard = co_await put_shard(worker, "run1/model.pt", Generation{3},
                                        texts(content.substr(0, 10), content.substr(10)));
  co_await put_commit(worker, shard, content.size());
}

Awaitable<std::string> get_range(TestWorkers& workers, std::string range) {
  HttpProbe probe(workers.loop().executor(), workers.address(rank_1).endpoint.port);
  co_await probe.connect();
  auto const request = get(target, fmt::format("Range: {}\r\n", range));
  co_return co_await probe.ask(request);
}

std::string body_of(std::string const& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

TEST(WorkerShards, ServesAShardWhole) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    co_await put_checkpoint(workers);
    auto const reply = co_await workers.ask(rank_1, http::verb::get, std::string(target));
    EXPECT_EQ(reply.status, 200u);
    EXPECT_EQ(reply.text(), content);
    auto const older =
        co_await workers.ask(rank_1, http::verb::get, std::string(target) + "?generation=2");
    EXPECT_EQ(older.status, 404u);
    auto const no_number = co_await workers.ask(rank_1, http::verb::get, "/shards/a/manifest");
    EXPECT_EQ(no_number.status, 400u);
  });
}

TEST(WorkerShards, ServesSingleRanges) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    co_await put_checkpoint(workers);
    auto answer = co_await get_range(workers, "bytes=8-11");
    EXPECT_EQ(status_of(answer), 206u);
    EXPECT_EQ(body_of(answer), "89ab");
    EXPECT_NE(answer.find("Content-Range: bytes 8-11/16\r\n"), std::string::npos) << answer;
    EXPECT_NE(answer.find("Accept-Ranges: bytes\r\n"), std::string::npos) << answer;
    answer = co_await get_range(workers, "bytes=10-");
    EXPECT_EQ(body_of(answer), "abcdef");
    answer = co_await get_range(workers, "bytes=-3");
    EXPECT_EQ(body_of(answer), "def");
    answer = co_await get_range(workers, "bytes=0-0,3-4");
    EXPECT_EQ(status_of(answer), 200u);
    EXPECT_EQ(body_of(answer), content);
  });
}

TEST(WorkerShards, RefusesARangeBehindTheEnd) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    co_await put_checkpoint(workers);
    auto const answer = co_await get_range(workers, "bytes=16-");
    EXPECT_EQ(status_of(answer), 416u);
    EXPECT_NE(answer.find("Content-Range: bytes */16\r\n"), std::string::npos) << answer;
    auto const last = co_await get_range(workers, "bytes=15-");
    EXPECT_EQ(body_of(last), "f");
  });
}

}  // namespace
}  // namespace grove
