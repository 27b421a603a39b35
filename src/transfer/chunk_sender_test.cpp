#include "transfer/chunk_sender.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/test_folder.h"
#include "format/chunk.h"
#include "format/weights_fixture.h"
#include "net/parallel.h"
#include "transfer/fake_worker.h"

namespace grove {
namespace {

class ChunkSenderTest : public testing::Test {
 protected:
  static ReadChunk chunk_of(std::span<std::byte const> raw, ValueType values) {
    ReadChunk chunk;
    chunk.ref = {sha256(raw), static_cast<std::uint32_t>(raw.size())};
    chunk.slice = {.offset = 0, .bytes = chunk.ref.raw_bytes, .values = values};
    chunk.buffer = Buffer(limits::chunk_header_bytes + raw.size());
    std::ranges::copy(raw, chunk.buffer.data() + limits::chunk_header_bytes);
    return chunk;
  }

  void TearDown() override {
    loop_.run([this]() -> Awaitable<void> { co_await worker_.stop(); });
  }

  // What the worker got for it.
  std::string send(ChunkSender& sender, ReadChunk& chunk) {
    loop_.run([&]() -> Awaitable<void> {
      auto client = worker_.client();
      auto const sent = co_await sender.send(client, chunk, {});
      EXPECT_TRUE(sent.has_value()) << sent.error().message;
      http_.close_idle();
    });
    EXPECT_EQ(room_.available(), limits::encoding_bytes_max);
    return worker_.chunks.at(chunk.ref.digest);
  }
  static Codec codec_of(std::string const& encoded) {
    return check_chunk(bytes_of(encoded)).value().codec;
  }

  TestLoop loop_;
  HttpClient http_{loop_.executor()};
  Offload offload_{2};
  Semaphore room_{loop_.executor(), limits::encoding_bytes_max};
  FakeWorker worker_{loop_, http_, Rank{1}};
};

TEST_F(ChunkSenderTest, SendsWeightsInTheirCodec) {
  ChunkSender sender(offload_, room_, {.compression = Switch::on});
  auto const raw = weights(ValueType::bf16, 100'000);
  auto chunk = chunk_of(raw, ValueType::bf16);
  auto const encoded = send(sender, chunk);
  EXPECT_EQ(codec_of(encoded), Codec::bf16);
  EXPECT_EQ(sender.totals().sent_bytes, encoded.size());
  EXPECT_EQ(sender.totals().encoding_saved_bytes,
            raw.size() + limits::chunk_header_bytes - encoded.size());
  EXPECT_GT(sender.totals().encoding_saved_bytes, raw.size() * 3 / 10);
}

TEST_F(ChunkSenderTest, SendsRawWhatDoesNotShrink) {
  ChunkSender sender(offload_, room_, {.compression = Switch::on});
  auto chunk = chunk_of(noise(100'000), ValueType::unknown);
  EXPECT_EQ(codec_of(send(sender, chunk)), Codec::raw);
  EXPECT_EQ(sender.totals().encoding_saved_bytes, 0u);
  auto smallest = chunk_of(noise(1), ValueType::bf16);
  EXPECT_EQ(send(sender, smallest).size(), limits::chunk_header_bytes + 1);
}

TEST_F(ChunkSenderTest, SendsRawWhereCompressionIsOff) {
  ChunkSender sender(offload_, room_, {.compression = Switch::off});
  auto chunk = chunk_of(weights(ValueType::bf16, 100'000), ValueType::bf16);
  EXPECT_EQ(codec_of(send(sender, chunk)), Codec::raw);
}

TEST_F(ChunkSenderTest, KeepsTheRawBytesForTheNextWorker) {
  ChunkSender sender(offload_, room_, {.compression = Switch::on});
  auto const raw = weights(ValueType::f32, 10'000);
  auto chunk = chunk_of(raw, ValueType::f32);
  auto const first = send(sender, chunk);
  worker_.chunks.clear();
  EXPECT_EQ(send(sender, chunk), first);
  EXPECT_TRUE(std::ranges::equal(chunk.raw(), raw));
}

TEST_F(ChunkSenderTest, PassesOnWhatTheWorkerSays) {
  ChunkSender sender(offload_, room_, {.compression = Switch::automatic});
  worker_.put_error = fail(ErrorKind::exhausted, "disk full");
  auto chunk = chunk_of(weights(ValueType::bf16, 1000), ValueType::bf16);
  loop_.run([&]() -> Awaitable<void> {
    auto client = worker_.client();
    auto const sent = co_await sender.send(client, chunk, {});
    EXPECT_EQ(sent.error().kind, ErrorKind::exhausted);
    http_.close_idle();
  });
  EXPECT_EQ(sender.totals().sent_bytes, 0u);
  EXPECT_EQ(room_.available(), limits::encoding_bytes_max);
}

TEST_F(ChunkSenderTest, GoesOnWhereOthersUseAllTheRoom) {
  ChunkSender sender(offload_, room_, {.compression = Switch::on});
  std::vector<ReadChunk> chunks;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    chunks.push_back(
        chunk_of(weights(ValueType::bf16, limits::chunk_bytes_max / 2, seed), ValueType::bf16));
  }
  auto client = worker_.client();
  auto const send_one = [&](ReadChunk& chunk) -> Awaitable<void> {
    auto const sent = co_await sender.send(client, chunk, {});
    EXPECT_TRUE(sent.has_value());
  };
  loop_.run([&]() -> Awaitable<void> {
    std::vector<Awaitable<void>> sends;
    for (auto& chunk : chunks) sends.push_back(send_one(chunk));
    co_await run_all(std::move(sends));
    http_.close_idle();
  });
  EXPECT_EQ(worker_.sent.size(), chunks.size());
  EXPECT_EQ(room_.available(), limits::encoding_bytes_max);
}

// An earlier file of one tensor, which is the worker's as well, and a new chunk that is a change of
// it.
class DeltaSenderTest : public ChunkSenderTest {
 protected:
  static constexpr std::uint64_t header_bytes = 100;
  static constexpr std::uint32_t tensor_bytes = 200'000;
  static constexpr ChunkSlice slice{
      .offset = header_bytes, .bytes = tensor_bytes, .values = ValueType::bf16};

  void SetUp() override {
    write_earlier(earlier_);
    SafetensorsLayout const layout{
        .header_bytes = header_bytes,
        .data_bytes = tensor_bytes,
        .tensors = {{.span = {0, tensor_bytes}, .fingerprint = 7, .values = ValueType::bf16}}};
    std::vector<ShardList> const lists{
        {.file_offset = header_bytes, .chunks = {{sha256(earlier_), tensor_bytes}}}};
    bases_.emplace(File::open_readonly(folder_ / "earlier").value(),
                   DeltaPairs(layout, layout, lists), CacheUse::keep);
    auto const held = encode_chunk(earlier_, Codec::bf16);
    worker_.chunks[sha256(earlier_)].assign(text_of(held));
  }

  void write_earlier(Bytes const& bytes) {
    folder_.write("earlier", std::string(header_bytes, 'h') + std::string(text_of(bytes)));
  }
  // What a value changes by in a few steps.
  static Bytes changed(Bytes bytes) {
    Random random(5);
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
      if (random.uniform() < 0.2) bytes[i] ^= std::byte{1};
    }
    return bytes;
  }
  ReadChunk chunk() {
    auto made = chunk_of(changed(earlier_), ValueType::bf16);
    made.slice = slice;
    return made;
  }
  std::string send_change(ChunkSender& sender, ReadChunk& chunk) {
    auto const base = sender.base_of(slice);
    EXPECT_EQ(base.has_value(), expects_base_);
    loop_.run([&]() -> Awaitable<void> {
      auto client = worker_.client();
      auto const sent = co_await sender.send(client, chunk, base);
      EXPECT_TRUE(sent.has_value()) << sent.error().message;
      http_.close_idle();
    });
    EXPECT_EQ(room_.available(), limits::encoding_bytes_max);
    return worker_.chunks.at(chunk.ref.digest);
  }
  ChunkSender sender(ChunkSender::Options options = {}) {
    options.bases = &*bases_;
    return ChunkSender(offload_, room_, options);
  }

  TestFolder folder_;
  Bytes const earlier_ = weights(ValueType::bf16, tensor_bytes / 2);
  std::optional<DeltaBases> bases_;
  bool expects_base_ = true;
};

TEST_F(DeltaSenderTest, SendsTheDifferenceAndSaysWhatItSaved) {
  auto delta_sender = sender();
  auto change = chunk();
  auto const kept = send_change(delta_sender, change);
  EXPECT_EQ(codec_of(kept), Codec::bf16) << "kept whole, in the codec that suits it";
  EXPECT_EQ(worker_.sent_as_deltas.size(), 1u);
  auto const& totals = delta_sender.totals();
  EXPECT_LT(totals.sent_bytes, tensor_bytes / 4);
  EXPECT_EQ(totals.sent_bytes + totals.deltas_saved_bytes,
            tensor_bytes + limits::chunk_header_bytes);
}

TEST_F(DeltaSenderTest, KeepsWhatItSendsRawWhereCompressionIsOff) {
  auto delta_sender = sender({.compression = Switch::off});
  auto change = chunk();
  EXPECT_EQ(codec_of(send_change(delta_sender, change)), Codec::raw);
  EXPECT_EQ(worker_.sent_as_deltas.size(), 1u);
}

TEST_F(DeltaSenderTest, TriesNoneWhereDeltasAreOff) {
  expects_base_ = false;
  auto delta_sender = sender({.delta = Switch::off});
  auto change = chunk();
  send_change(delta_sender, change);
  EXPECT_TRUE(worker_.sent_as_deltas.empty());
}

TEST_F(DeltaSenderTest, SendsWholeWhatTheWorkerRefusesAndGivesUpAfterThree) {
  worker_.refuses_deltas = true;
  auto delta_sender = sender({.delta = Switch::on});
  for (int i = 0; i < 3; ++i) {
    worker_.chunks.erase(sha256(changed(earlier_)));
    auto change = chunk();
    send_change(delta_sender, change);
  }
  EXPECT_EQ(worker_.deltas_refused_count, 3u);
  EXPECT_FALSE(delta_sender.base_of(slice).has_value());
}

TEST_F(DeltaSenderTest, SendsWholeWhereTheEarlierFileHasBecomeAnother) {
  // A change of the other one, so that the delta is worth sending.
  auto const other = weights(ValueType::bf16, tensor_bytes / 2, 98);
  write_earlier(other);
  auto delta_sender = sender({.delta = Switch::on});
  auto change = chunk_of(changed(other), ValueType::bf16);
  change.slice = slice;
  auto const kept = send_change(delta_sender, change);
  EXPECT_TRUE(worker_.sent_as_deltas.empty());
  EXPECT_EQ(delta_sender.totals().deltas_saved_bytes, 0u);
  Buffer scratch;
  EXPECT_TRUE(decode_chunk(bytes_of(kept), change.ref.digest, scratch));
}

TEST_F(DeltaSenderTest, SendsWholeWhereTheEarlierFileHasBecomeShorter) {
  std::filesystem::resize_file(folder_ / "earlier", header_bytes + tensor_bytes - 1);
  auto delta_sender = sender({.delta = Switch::on});
  auto change = chunk();
  send_change(delta_sender, change);
  EXPECT_TRUE(worker_.sent_as_deltas.empty());
  EXPECT_EQ(worker_.sent.size(), 1u);
}

TEST_F(DeltaSenderTest, GivesUpWhatDoesNotProfit) {
  auto delta_sender = sender({.compression = Switch::on, .delta = Switch::on});
  for (std::uint64_t seed = 50; delta_sender.base_of(slice).has_value(); ++seed) {
    ASSERT_LT(seed, 60u);
    auto other = chunk_of(weights(ValueType::bf16, tensor_bytes / 2, seed), ValueType::bf16);
    other.slice = slice;
    send_change(delta_sender, other);
  }
  EXPECT_TRUE(worker_.sent_as_deltas.empty());
  EXPECT_EQ(worker_.deltas_refused_count, 0u);
}

TEST_F(DeltaSenderTest, PassesOnAFailureThatIsNoRefusal) {
  worker_.put_error = fail(ErrorKind::exhausted, "disk full");
  auto delta_sender = sender({.delta = Switch::on});
  auto change = chunk();
  loop_.run([&]() -> Awaitable<void> {
    auto client = worker_.client();
    auto const base = delta_sender.base_of(slice);
    auto const sent = co_await delta_sender.send(client, change, base);
    EXPECT_EQ(sent.error().kind, ErrorKind::exhausted);
    http_.close_idle();
  });
  EXPECT_TRUE(worker_.sent.empty());
}

}  // namespace
}  // namespace grove
