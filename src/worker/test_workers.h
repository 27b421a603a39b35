// Real workers on free ports of this machine, each with a data folder of its own, for tests.
// Not here: anything for code that is not a test. Threads: the test's loop.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/test_folder.h"
#include "base/test_result.h"
#include "format/chunk.h"
#include "format/test_key.h"
#include "net/http_client.h"
#include "net/http_probe.h"
#include "net/test_loop.h"
#include "transfer/worker_client.h"
#include "worker/worker.h"

namespace grove {

// One value in Prometheus' text; empty where there is none of that name.
inline std::string metric(std::string_view text, std::string const& name) {
  auto const begin = text.find("\n" + name + " ");
  if (begin == text.npos) return {};
  auto const value = text.substr(begin + name.size() + 2);
  return std::string(value.substr(0, value.find('\n')));
}

class TestWorkers {
 public:
  // Ranks 1 to `count`, on which nothing runs yet.
  explicit TestWorkers(std::uint32_t count) : http_(loop_.executor()) {
    for (std::uint32_t rank = 1; rank <= count; ++rank) {
      config_.workers.push_back(
          {.host = fmt::format("pi4-{}", rank), .ip = "127.0.0.1", .rank = Rank{rank}, .port = 0});
    }
    config_.reserve_bytes = 0;
  }

  // Starts all that are not running, runs `body`, and stops them.
  void run(std::function<Awaitable<void>()> body) {
    loop_.run([&]() -> Awaitable<void> {
      for (DeviceConfig const& device : config_.workers) start(device.rank);
      co_await body();
      http_.close_idle();
      while (!workers_.empty()) co_await stop(workers_.begin()->first);
    });
  }

  WorkerOptions options(Rank rank) {
    WorkerOptions options;
    options.config = config_;
    options.rank = rank;
    options.data = data(rank);
    options.empty = EmptyFolder::adopt;
    options.listen_address = "127.0.0.1";
    options.config.collect_after = grace;
    options.on_fatal = [this](Error const& error) { fatal_errors.push_back(error); };
    return options;
  }
  void start(Rank rank) {
    auto worker = Worker::open(loop_.executor(), options(rank));
    ASSERT_TRUE(worker.has_value()) << worker.error().message;
    auto const started = worker.value()->start();
    ASSERT_TRUE(started.has_value()) << started.error().message;
    workers_[rank] = std::move(worker).value();
  }
  Awaitable<void> stop(Rank rank) {
    http_.close_idle();
    co_await workers_.at(rank)->stop();
    workers_.erase(rank);
  }

  WorkerAddress address(Rank rank) const {
    auto const& worker = *workers_.at(rank);
    return {
        .rank = rank,
        .id = worker.id(),
        .endpoint = {
            .host = "127.0.0.1", .port = worker.port(), .name = fmt::format("pi4-{}", rank.value)}};
  }
  WorkerClient client(Rank rank, std::string job = "job-1") {
    return WorkerClient(http_, address(rank), std::move(job));
  }
  HttpClient& http() { return http_; }
  TestLoop& loop() { return loop_; }
  std::filesystem::path data(Rank rank) const {
    return folder_ / fmt::format("worker_{}", rank.value);
  }

  // Changes one byte of a durable chunk where it lies, as a failing disk does.
  void damage_chunk(Rank rank, Digest const& digest) const {
    auto const path = data(rank) / "chunks" / digest.hex().substr(0, 2) / digest.hex();
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(limits::chunk_header_bytes);
    auto const byte = static_cast<char>(file.get() ^ 1);
    file.seekp(limits::chunk_header_bytes);
    file.put(byte);
    EXPECT_TRUE(file.good());
  }

  // One call as curl would make it.
  Awaitable<HttpReply> ask(Rank rank, http::verb method, std::string target,
                           std::string body = {}) {
    HttpCall call;
    call.method = method;
    call.target = std::move(target);
    if (!body.empty()) call.content_type = "application/octet-stream";
    call.body = bytes_of(body);
    auto reply = co_await http_.call(address(rank).endpoint, std::move(call));
    EXPECT_TRUE(reply.has_value());
    co_return std::move(reply).value();
  }

  // One value of its /metrics.
  Awaitable<std::string> metric(Rank rank, std::string name) {
    auto const reply = co_await ask(rank, http::verb::get, "/metrics");
    co_return grove::metric(reply.text(), name);
  }

  std::chrono::milliseconds grace = std::chrono::hours(24);
  std::vector<Error> fatal_errors;

 private:
  TestLoop loop_;
  TestFolder folder_;
  Config config_;
  HttpClient http_;
  std::map<Rank, std::unique_ptr<Worker>> workers_;
};

inline constexpr Rank rank_1{1};
inline constexpr Rank rank_2{2};

inline Buffer chunk_of(std::string_view raw) {
  return encode_chunk(bytes_of(raw), Codec::raw);
}

// A list in braces within a co_await is more than g++ 12 can take.
template <typename... Texts>
std::vector<std::string> texts(Texts... each) {
  return {std::string(each)...};
}

// Puts chunks with these raw bytes; returns the list they make, at offset 0.
inline Awaitable<ShardList> put_chunks(WorkerClient& worker, std::vector<std::string> raws) {
  ShardList list;
  for (std::string const& raw : raws) {
    auto const encoded = chunk_of(raw);
    auto const put = co_await worker.put_chunk(sha256(raw), encoded.span());
    EXPECT_TRUE(put.has_value());
    list.chunks.push_back({sha256(raw), static_cast<std::uint32_t>(raw.size())});
  }
  co_return list;
}

inline Awaitable<Digest> put_list(WorkerClient& worker, ShardList list) {
  auto const bytes = serialize(list);
  auto const digest = sha256(bytes.span());
  auto const put = co_await worker.put_list(digest, bytes.span());
  EXPECT_TRUE(put.has_value());
  co_return digest;
}

// Stores an opaque file of one shard with these chunks, as far as its shard ref.
inline Awaitable<Ref> put_shard(WorkerClient& worker, std::string identity, Generation generation,
                                std::vector<std::string> raws) {
  auto list = co_await put_chunks(worker, std::move(raws));
  auto const target = co_await put_list(worker, std::move(list));
  Ref const ref{key_of(identity), generation, RefName{ShardIndex{0}}, target};
  auto const missing = co_await worker.put_ref(ref);
  EXPECT_TRUE(missing.has_value() && missing.value().empty());
  co_return ref;
}

// … and its manifest: that generation is complete.
inline Awaitable<Ref> put_commit(WorkerClient& worker, Ref shard, std::uint64_t file_bytes) {
  Manifest manifest;
  manifest.identity = shard.key.identity();
  manifest.generation = shard.generation;
  manifest.file_bytes = file_bytes;
  manifest.redundancy = 2;
  ShardList const no_header;
  manifest.header_list = co_await put_list(worker, no_header);
  manifest.shards.push_back(
      {.begin = 0, .end = file_bytes, .tensors_count = 0, .list = shard.target});
  auto const text = serialize(manifest);
  auto const put = co_await worker.put_manifest(sha256(text), bytes_of(text));
  EXPECT_TRUE(put.has_value());
  Ref const ref{shard.key, shard.generation, RefName{}, sha256(text)};
  auto const missing = co_await worker.put_ref(ref);
  EXPECT_TRUE(missing.has_value() && missing.value().empty());
  co_return ref;
}

}  // namespace grove
