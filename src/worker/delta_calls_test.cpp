#include <string>

#include "base/bytes.h"
#include "format/delta.h"
#include "worker/chunk_deltas.h"
#include "worker/next_step.h"
#include "worker/test_workers.h"

namespace grove {
namespace {

// Two steps of one run's weights, and what travels between them.
struct Steps {
  explicit Steps(std::size_t values_count = 20'000, std::uint64_t seed = 1)
      : base(weights(ValueType::bf16, values_count, seed)),
        raw(next_step(base)),
        delta(std::move(*encode_delta(raw, base, ValueType::bf16, Codec::bf16, raw.size()))) {}

  Digest digest() const { return sha256(raw); }
  Digest base_digest() const { return sha256(base); }
  std::string target() const {
    return "/chunks/" + digest().hex() + "?base=" + base_digest().hex();
  }

  Bytes base;
  Bytes raw;
  Buffer delta;
};

Awaitable<void> put(WorkerClient& worker, Bytes const& raw, Codec codec = Codec::raw) {
  auto const encoded = encode_chunk(raw, codec);
  auto const put = co_await worker.put_chunk(sha256(raw), encoded.span());
  EXPECT_TRUE(put.has_value());
}

TEST(WorkerDeltas, AreKeptAsTheChunkThatWouldHaveComeWhole) {
  TestWorkers workers(2);
  Steps const steps;
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put(worker, steps.base);
    auto const taken =
        co_await worker.put_delta(steps.digest(), steps.base_digest(), steps.delta.span());
    EXPECT_TRUE(taken.has_value());
    auto whole = workers.client(rank_2);
    co_await put(whole, steps.raw, Codec::bf16);
    auto const from_delta = co_await worker.get_chunk(steps.digest());
    auto const from_whole = co_await whole.get_chunk(steps.digest());
    EXPECT_EQ(text_of(from_delta.value().span()), text_of(from_whole.value().span()));

    co_await worker.sync();
    std::vector<Digest> const asked{steps.digest()};
    auto const missing = co_await worker.missing(asked);
    EXPECT_TRUE(missing.value().empty());
    auto const puts = co_await workers.metric(rank_1, "smoltorrent_chunks_put_total");
    EXPECT_EQ(puts, "2");
    auto const deltas = co_await workers.metric(rank_1, "smoltorrent_deltas_put_total");
    EXPECT_EQ(deltas, "1");
  });
}

TEST(WorkerDeltas, GoOutWhereBothChunksAreHere) {
  TestWorkers workers(1);
  Steps const steps;
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put(worker, steps.base);
    co_await put(worker, steps.raw, Codec::bf16);
    auto const got = co_await worker.get_delta(steps.digest(), steps.base_digest());
    Buffer scratch;
    auto const rebuilt = decode_delta(got.value().span(), steps.base, steps.digest(), scratch);
    EXPECT_TRUE(rebuilt.has_value());
    EXPECT_EQ(rebuilt.value().store_as, Codec::bf16);
    auto const served = co_await workers.metric(rank_1, "smoltorrent_chunks_served_total");
    EXPECT_EQ(served, "1");
  });
}

TEST(WorkerDeltas, AnswerWithTheStatusesOfTheTable) {
  TestWorkers workers(1);
  Steps const steps;
  workers.run([&]() -> Awaitable<void> {
    std::string const delta(text_of(steps.delta));
    auto const target = steps.target();
    auto reply = co_await workers.ask(rank_1, http::verb::put, target, delta);
    EXPECT_EQ(reply.status, 409u);
    EXPECT_NE(reply.text().find("; send it whole"), std::string_view::npos) << reply.text();
    reply = co_await workers.ask(rank_1, http::verb::get, target);
    EXPECT_EQ(reply.status, 404u);

    auto worker = workers.client(rank_1);
    co_await put(worker, steps.base);
    reply = co_await workers.ask(rank_1, http::verb::put, target, "no delta");
    EXPECT_EQ(reply.status, 422u);
    auto const too_long = std::string(limits::encoded_chunk_bytes_max + 1, 'x');
    reply = co_await workers.ask(rank_1, http::verb::put, target, too_long);
    EXPECT_EQ(reply.status, 400u);
    reply =
        co_await workers.ask(rank_1, http::verb::put, target.substr(0, target.size() - 1), delta);
    EXPECT_EQ(reply.status, 400u);
    reply = co_await workers.ask(rank_1, http::verb::put, target, delta);
    EXPECT_EQ(reply.status, 204u);
    reply = co_await workers.ask(rank_1, http::verb::put, target, "what is here is not looked at");
    EXPECT_EQ(reply.status, 204u);

    auto const to_absent = "/chunks/" + steps.digest().hex() + "?base=" + sha256("x").hex();
    reply = co_await workers.ask(rank_1, http::verb::get, to_absent);
    EXPECT_EQ(reply.status, 409u);
    EXPECT_NE(reply.text().find("; ask for it whole"), std::string_view::npos) << reply.text();
    auto const refused = co_await workers.metric(rank_1, "smoltorrent_deltas_refused_total");
    EXPECT_EQ(refused, "2");
    auto const taken = co_await workers.metric(rank_1, "smoltorrent_deltas_put_total");
    EXPECT_EQ(taken, "1");
  });
}

TEST(WorkerDeltas, ADamagedBaseIsOneNoLonger) {
  TestWorkers workers(1);
  Steps const steps;
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put(worker, steps.base);
    co_await worker.sync();
    workers.damage_chunk(rank_1, steps.base_digest());
    auto const delta = steps.delta.span();
    auto taken = co_await worker.put_delta(steps.digest(), steps.base_digest(), delta);
    EXPECT_EQ(kind_of(taken), ErrorKind::conflict);
    EXPECT_NE(taken.error().message.find("damaged"), std::string::npos);
    taken = co_await worker.put_delta(steps.digest(), steps.base_digest(), delta);
    EXPECT_NE(taken.error().message.find("not here"), std::string::npos);
    auto const quarantined = co_await workers.metric(rank_1, "smoltorrent_quarantined_files");
    EXPECT_EQ(quarantined, "1");
    co_await put(worker, steps.raw);  // whole, as it was told
  });
}

TEST(WorkerDeltas, PinTheChunkAndItsBase) {
  TestWorkers workers(1);
  workers.grace = std::chrono::seconds(0);
  Steps const steps;
  workers.run([&]() -> Awaitable<void> {
    auto loose = workers.client(rank_1, "");
    co_await put(loose, steps.base);
    auto job = workers.client(rank_1, "job");
    auto const taken =
        co_await job.put_delta(steps.digest(), steps.base_digest(), steps.delta.span());
    EXPECT_TRUE(taken.has_value());
    co_await job.sync();
    co_await workers.ask(rank_1, http::verb::post, "/gc");
    std::vector<Digest> const asked{steps.digest(), steps.base_digest()};
    auto const missing = co_await loose.missing(asked);
    EXPECT_TRUE(missing.value().empty());
  });
}

// More at once than there is room for, both ways, and whole chunks between them.
TEST(WorkerDeltas, WaitForRoomAndAllGetIt) {
  constexpr std::size_t count = 8;
  TestWorkers workers(1);
  std::vector<Steps> steps;
  for (std::uint64_t seed = 1; seed <= count; ++seed) steps.emplace_back(50'000, seed);
  std::size_t put_count = 0;
  std::size_t got_count = 0;
  auto const put_one = [&](Steps const& step) -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    co_await put(worker, step.base);
    auto const taken =
        co_await worker.put_delta(step.digest(), step.base_digest(), step.delta.span());
    if (taken) ++put_count;
  };
  auto const get_one = [&](Steps const& step) -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const delta = co_await worker.get_delta(step.digest(), step.base_digest());
    auto const whole = co_await worker.get_chunk(step.digest());
    if (delta && whole) ++got_count;
  };
  workers.run([&]() -> Awaitable<void> {
    TaskGroup tasks(workers.loop().executor());
    for (auto const& step : steps) tasks.spawn("put", put_one(step));
    co_await tasks.wait();
    for (auto const& step : steps) tasks.spawn("get", get_one(step));
    co_await tasks.wait();
  });
  EXPECT_EQ(put_count, count);
  EXPECT_EQ(got_count, count);
}

// --- pulls ---

struct Pulled {
  std::vector<std::optional<ErrorKind>> kinds;
  std::string as_deltas;  // by the metrics
  std::string refused_by_source;
};

class PulledDeltas : public testing::Test {
 protected:
  PulledDeltas() {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) steps_.emplace_back(5'000, seed);
  }

  // Rank 1 has both steps, rank 2 the earlier one; both durable.
  Awaitable<void> fill() {
    for (Rank const rank : {rank_1, rank_2}) {
      auto worker = workers_.client(rank);
      for (auto const& step : steps_) {
        co_await put(worker, step.base);
        if (rank == rank_1) co_await put(worker, step.raw, Codec::bf16);
      }
      co_await worker.sync();
    }
  }

  Awaitable<Pulled> pull() {
    std::vector<WantedChunk> wanted;
    for (auto const& step : steps_) wanted.push_back({step.digest(), step.base_digest()});
    auto target = workers_.client(rank_2);
    auto const from = workers_.address(rank_1);
    auto const outcomes = co_await target.pull(from, wanted);
    Pulled pulled;
    for (auto const& outcome : outcomes) {
      pulled.kinds.push_back(outcome.error ? std::optional(outcome.error->kind) : std::nullopt);
    }
    pulled.as_deltas = co_await workers_.metric(rank_2, "smoltorrent_deltas_pulled_total");
    pulled.refused_by_source = co_await workers_.metric(rank_1, "smoltorrent_deltas_refused_total");
    co_return pulled;
  }

  // Each chunk is on both workers, the same byte for byte.
  Awaitable<void> expect_the_same() {
    auto source = workers_.client(rank_1);
    auto target = workers_.client(rank_2);
    for (auto const& step : steps_) {
      auto const theirs = co_await source.get_chunk(step.digest());
      auto const ours = co_await target.get_chunk(step.digest());
      EXPECT_EQ(text_of(ours.value().span()), text_of(theirs.value().span()));
    }
  }

  void lose(Rank rank, Digest const& digest) const {
    std::filesystem::remove(workers_.data(rank) / "chunks" / digest.hex().substr(0, 2) /
                            digest.hex());
  }

  std::vector<std::optional<ErrorKind>> all_ok() const {
    return std::vector<std::optional<ErrorKind>>(steps_.size());
  }

  TestWorkers workers_{2};
  std::vector<Steps> steps_;
};

TEST_F(PulledDeltas, AreTheSameOnBothWorkers) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    auto const pulled = co_await pull();
    EXPECT_EQ(pulled.kinds, all_ok());
    EXPECT_EQ(pulled.as_deltas, "6");
    EXPECT_EQ(pulled.refused_by_source, "0");
    co_await expect_the_same();
  });
}

TEST_F(PulledDeltas, AreNotAskedForWithoutABaseHere) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    for (auto const& step : steps_) lose(rank_2, step.base_digest());
    auto const pulled = co_await pull();
    EXPECT_EQ(pulled.kinds, all_ok());
    EXPECT_EQ(pulled.as_deltas, "0");
    EXPECT_EQ(pulled.refused_by_source, "0");
    co_await expect_the_same();
  });
}

TEST_F(PulledDeltas, EndWhenTheSourceHasNoBases) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    for (auto const& step : steps_) lose(rank_1, step.base_digest());
    auto const pulled = co_await pull();
    EXPECT_EQ(pulled.kinds, all_ok());
    EXPECT_EQ(pulled.as_deltas, "0");
    // Both lanes may be at one when the third refusal comes.
    EXPECT_TRUE(pulled.refused_by_source == "3" || pulled.refused_by_source == "4")
        << pulled.refused_by_source;
    co_await expect_the_same();
  });
}

TEST_F(PulledDeltas, GiveWayToWholeChunksWhereTheSourcesBaseIsDamaged) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    workers_.damage_chunk(rank_1, steps_[2].base_digest());
    auto const pulled = co_await pull();
    EXPECT_EQ(pulled.kinds, all_ok());
    EXPECT_EQ(pulled.as_deltas, "5");
    EXPECT_EQ(pulled.refused_by_source, "1");
    co_await expect_the_same();
  });
}

TEST_F(PulledDeltas, GiveWayToWholeChunksWhereTheBaseHereIsDamaged) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    workers_.damage_chunk(rank_2, steps_[2].base_digest());
    auto const pulled = co_await pull();
    EXPECT_EQ(pulled.kinds, all_ok());
    EXPECT_EQ(pulled.as_deltas, "5");
    EXPECT_EQ(pulled.refused_by_source, "0");
    auto const quarantined = co_await workers_.metric(rank_2, "smoltorrent_quarantined_files");
    EXPECT_EQ(quarantined, "1");
    co_await expect_the_same();
  });
}

TEST_F(PulledDeltas, OfAChunkThatTheSourceLacksAreNotFound) {
  workers_.run([&]() -> Awaitable<void> {
    co_await fill();
    lose(rank_1, steps_[0].digest());
    auto const pulled = co_await pull();
    auto expected = all_ok();
    expected[0] = ErrorKind::not_found;
    EXPECT_EQ(pulled.kinds, expected);
    EXPECT_EQ(pulled.as_deltas, "5");
  });
}

// Each pulls from the next at once, more than there is room for: none waits for itself.
TEST(WorkerDeltas, MoveInARingWithoutWaitingForEachOther) {
  constexpr std::uint32_t workers_count = 3;
  TestWorkers workers(workers_count);
  std::vector<Steps> steps;
  for (std::uint64_t seed = 1; seed <= workers_count * 4; ++seed) steps.emplace_back(50'000, seed);
  std::size_t ok_count = 0;
  auto const pull_four = [&](std::uint32_t index) -> Awaitable<void> {
    std::vector<WantedChunk> wanted;
    for (std::size_t i = index * 4; i < (index + 1) * 4; ++i) {
      wanted.push_back({steps[i].digest(), steps[i].base_digest()});
    }
    auto target = workers.client(Rank{(index + 1) % workers_count + 1});
    auto const from = workers.address(Rank{index + 1});
    auto const outcomes = co_await target.pull(from, wanted);
    for (auto const& outcome : outcomes) {
      if (!outcome.error) ++ok_count;
    }
  };
  workers.run([&]() -> Awaitable<void> {
    for (std::uint32_t index = 0; index < workers_count; ++index) {
      auto worker = workers.client(Rank{index + 1});
      for (auto const& step : steps) co_await put(worker, step.base);
      for (std::size_t i = index * 4; i < (index + 1) * 4; ++i) co_await put(worker, steps[i].raw);
    }
    TaskGroup tasks(workers.loop().executor());
    // Twice the same: two pulls of one chunk at once are as good as one.
    for (int round = 0; round < 2; ++round) {
      for (std::uint32_t index = 0; index < workers_count; ++index) {
        tasks.spawn("pull", pull_four(index));
      }
    }
    co_await tasks.wait();
  });
  EXPECT_EQ(ok_count, 2 * steps.size());
}

}  // namespace
}  // namespace grove
