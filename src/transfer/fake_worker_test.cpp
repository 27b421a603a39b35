#include "transfer/fake_worker.h"

#include "base/bytes.h"

namespace grove {
namespace {

// What tests of others rely on: deltas go in, out and across as they do with a real worker.
TEST(FakeWorker, TakesGivesAndPullsDeltas) {
  TestLoop loop;
  HttpClient http(loop.executor());
  FakeWorker first(loop, http, Rank{1});
  FakeWorker second(loop, http, Rank{2});
  std::string const base(5000, 'a');
  std::string const raw = std::string(4999, 'a') + "b";
  auto const whole = [&](std::string const& text) {
    auto const encoded = encode_chunk(bytes_of(text), Codec::raw);
    return std::string(text_of(encoded));
  };
  auto const delta = encode_delta(bytes_of(raw), bytes_of(base), ValueType::b8, Codec::raw, 5000);
  std::vector<WantedChunk> const wanted{{sha256(raw), sha256(base)}};
  first.chunks[sha256(base)] = whole(base);
  second.chunks = first.chunks;
  loop.run([&]() -> Awaitable<void> {
    auto client = first.client();
    auto other = second.client();
    first.refuses_deltas = true;
    auto put = co_await client.put_delta(sha256(raw), sha256(base), delta->span());
    EXPECT_EQ(put.error().kind, ErrorKind::conflict);
    first.refuses_deltas = false;
    put = co_await client.put_delta(sha256(raw), sha256(base), delta->span());
    EXPECT_TRUE(put.has_value());
    auto outcomes = co_await other.pull(client.address(), wanted);
    EXPECT_FALSE(outcomes.front().error.has_value());
    EXPECT_EQ(second.pulled_as_deltas.size(), 1u);

    second.chunks.erase(sha256(raw));
    first.unsound_bases.insert(sha256(base));
    outcomes = co_await other.pull(client.address(), wanted);
    EXPECT_FALSE(outcomes.front().error.has_value());
    EXPECT_EQ(second.pulled_as_deltas.size(), 1u) << "the second time it came whole";
    http.close_idle();
    co_await first.stop();
    co_await second.stop();
  });
  EXPECT_EQ(first.chunks.at(sha256(raw)), whole(raw));
  EXPECT_EQ(second.chunks, first.chunks);
  EXPECT_EQ(first.sent_as_deltas.size(), 1u);
  EXPECT_EQ(first.deltas_refused_count, 2u);
}

}  // namespace
}  // namespace grove
