#include "coordinator/delta_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <deque>
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/test_folder.h"
#include "format/safetensors_fixture.h"
#include "format/test_key.h"
#include "net/http_server.h"
#include "net/test_loop.h"
#include "plan/shards.h"

namespace grove {
namespace {

// What a worker says it holds, and the manifests and lists it gives.
class FakeHolder {
 public:
  explicit FakeHolder(TestLoop& loop) : server_(loop.executor(), routes(), HttpServerOptions{}) {
    EXPECT_TRUE(server_.start().has_value());
  }

  std::uint16_t port() const { return server_.port(); }
  Awaitable<void> stop() { co_await server_.stop(std::chrono::milliseconds(50)); }

  std::vector<Ref> refs;
  std::map<std::string, std::string> objects;  // by target
  bool is_silent = false;                      // then nothing is answered
  std::vector<std::string> asked;              // targets, in their order

 private:
  using Answer = Awaitable<Result<void>>;

  HttpRouter routes() {
    HttpRouter router;
    for (std::string const folder : {"/refs", "/manifests", "/shardlists"}) {
      auto const pattern = folder == "/refs" ? folder : folder + "/{}";
      router.add(http::verb::get, pattern,
                 [this, folder](HttpRequest& request, HttpResponder& responder) {
                   return answer(folder, request, responder);
                 });
    }
    return router;
  }

  Answer answer(std::string path, HttpRequest& request, HttpResponder& responder) {
    for (auto const& name : request.args()) path += "/" + name;
    asked.push_back(path);
    while (is_silent) {
      bool const is_going_on = co_await sleep_for(std::chrono::milliseconds(10));
      if (!is_going_on) co_return fail(ErrorKind::cancelled, "stopped");
    }
    if (path == "/refs") {
      auto const identity = request.param("identity");
      auto const prefix = request.param("prefix").value_or("");
      auto const name = request.param("name");
      InventoryPage page;
      for (auto const& ref : refs) {
        if (identity && ref.key.identity() != *identity) continue;
        if (!ref.key.identity().starts_with(prefix)) continue;
        if (name && ref.name.text() != *name) continue;
        page.refs.push_back({.ref = ref, .missing_count = 0, .bytes = 0, .verified_ms = {}});
      }
      co_return co_await responder.send_text(200, "application/json", serialize_inventory(page));
    }
    auto const found = objects.find(path);
    if (found == objects.end()) co_return fail(ErrorKind::not_found, "not here");
    co_return co_await responder.send_text(200, "application/octet-stream", found->second);
  }

  HttpServer server_;
};

class DeltaSourceTest : public testing::Test {
 protected:
  DeltaSourceTest() {
    config_.ckpt_root = folder_.path();
    for (std::uint32_t rank = 1; rank <= 2; ++rank) {
      auto& holder = holders_.emplace_back(loop_);
      config_.workers.push_back({.host = fmt::format("pi4-{}", rank),
                                 .ip = "127.0.0.1",
                                 .rank = Rank{rank},
                                 .port = holder.port()});
      members_.push_back({.worker_index = rank - 1, .health = WorkerHealth(), .error = {}});
    }
  }

  // Two tensors, of which the second depends on the step.
  static std::string file_of(std::string_view second) {
    return header_of(fmt::format(
               R"({{"a":{{"dtype":"BF16","shape":[40000],"data_offsets":[0,80000]}},)"
               R"("{}":{{"dtype":"F32","shape":[30000],"data_offsets":[80000,200000]}}}})",
               second)) +
           std::string(200'000, 'x');
  }
  static SafetensorsLayout layout_of(std::string const& file) {
    return parse_safetensors(reader_of(file), file.size()).value();
  }

  // Writes the checkpoint, and lets the holders have it: shard i is on holder i.
  void store(std::string const& identity, std::uint64_t generation, std::string const& file) {
    folder_.write(identity, file);
    auto const plan = plan_safetensors(layout_of(file), 2);
    Manifest manifest;
    manifest.identity = identity;
    manifest.generation = Generation{generation};
    manifest.kind = CheckpointKind::safetensors;
    manifest.file_bytes = plan.file_bytes;
    manifest.header_bytes = plan.header_bytes;
    manifest.tensors_count = plan.tensors_count;
    manifest.mtime_ns = stamp_of(folder_ / identity).value().mtime_ns;
    manifest.redundancy = 1;
    for (std::size_t shard = 0; shard < plan.shards.size(); ++shard) {
      auto const& planned = plan.shards[shard];
      ShardList list{.file_offset = planned.chunks.at(0).offset};
      for (auto const& chunk : planned.chunks) {
        list.chunks.push_back({chunk_name(identity, chunk), chunk.bytes});
      }
      auto const bytes = serialize(list);
      auto const digest = sha256(bytes.span());
      manifest.shards.push_back({.begin = planned.begin,
                                 .end = planned.end,
                                 .tensors_count = planned.tensors_count,
                                 .list = digest});
      holders_[shard].objects["/shardlists/" + digest.hex()].assign(text_of(bytes));
      holders_[shard].refs.push_back({key_of(identity), manifest.generation,
                                      RefName{ShardIndex{static_cast<std::uint32_t>(shard)}},
                                      digest});
    }
    auto const text = serialize(manifest);
    for (auto& holder : holders_) {
      holder.objects["/manifests/" + sha256(text).hex()] = text;
      holder.refs.push_back({key_of(identity), manifest.generation, RefName{}, sha256(text)});
    }
  }
  static Digest chunk_name(std::string_view identity, ChunkSlice const& chunk) {
    return sha256(fmt::format("{} {}", identity, chunk.offset));
  }

  std::unique_ptr<DeltaBases> find(std::string const& identity, std::string const& file) {
    std::unique_ptr<DeltaBases> bases;
    auto const layout = layout_of(file);
    loop_.run([&]() -> Awaitable<void> {
      bases = co_await find_delta_bases(services_, config_, key_of(identity), members_, layout,
                                        patience_);
      http_.close_idle();
      for (auto& holder : holders_) co_await holder.stop();
    });
    return bases;
  }

  // Of each chunk of `file` the checkpoint its base is in, "-" for none.
  static std::vector<std::string> bases_of(DeltaBases const& bases, std::string const& file,
                                           std::vector<std::string> const& identities) {
    std::vector<std::string> found;
    auto const plan = plan_safetensors(layout_of(file), 1);
    for (auto const& chunk : plan.shards[0].chunks) {
      auto const base = bases.find(chunk);
      found.push_back("-");
      for (auto const& identity : identities) {
        if (base && base->digest == chunk_name(identity, chunk)) found.back() = identity;
      }
    }
    return found;
  }

  TestLoop loop_;
  TestFolder folder_;
  HttpClient http_{loop_.executor()};
  Offload offload_{1};
  Semaphore buffers_{loop_.executor(), limits::job_buffers_bytes_max};
  Semaphore encodings_{loop_.executor(), limits::encoding_bytes_max};
  Neighbours neighbours_{loop_.executor(), 0};
  Presences presences_{loop_.executor()};
  Metrics metrics_{Role::coordinator};
  Services services_{.executor = loop_.executor(),
                     .http = http_,
                     .offload = offload_,
                     .buffers = buffers_,
                     .encodings = encodings_,
                     .neighbours = neighbours_,
                     .presences = presences_,
                     .metrics = metrics_,
                     .coordinator_id = "id"};
  Config config_;
  std::deque<FakeHolder> holders_;
  std::vector<Member> members_;
  std::chrono::milliseconds patience_ = limits::delta_search_timeout;
  std::string const step_10_ = "run/step_10/model.safetensors";
  std::string const step_20_ = "run/step_20/model.safetensors";
  std::string const step_30_ = "run/step_30/model.safetensors";
};

using Names = std::vector<std::string>;

TEST_F(DeltaSourceTest, FindsTheNewestOfTheRun) {
  store(step_10_, 1, file_of("b"));
  store(step_20_, 2, file_of("b"));
  store("other/step_20/model.safetensors", 3, file_of("b"));
  auto const bases = find(step_30_, file_of("b"));
  ASSERT_TRUE(bases);
  EXPECT_EQ(bases_of(*bases, file_of("b"), {step_10_, step_20_}), (Names{step_20_, step_20_}));
}

TEST_F(DeltaSourceTest, PairsTheTensorsThatAreStillThere) {
  store(step_10_, 1, file_of("b"));
  auto const bases = find(step_30_, file_of("c"));
  ASSERT_TRUE(bases);
  EXPECT_EQ(bases_of(*bases, file_of("c"), {step_10_}), (Names{step_10_, "-"}));
}

TEST_F(DeltaSourceTest, TakesAnOlderOneWhereTheFileOfTheNewestIsGone) {
  store(step_10_, 1, file_of("b"));
  store(step_20_, 2, file_of("b"));
  std::filesystem::remove(folder_ / step_20_);
  auto const bases = find(step_30_, file_of("b"));
  ASSERT_TRUE(bases);
  EXPECT_EQ(bases_of(*bases, file_of("b"), {step_10_}), (Names{step_10_, step_10_}));
}

TEST_F(DeltaSourceTest, TakesNoFileThatIsAnotherThanWasStored) {
  store(step_10_, 1, file_of("b"));
  folder_.write(step_10_, file_of("b") + "more");
  store(step_20_, 2, file_of("b"));
  timespec const times[2] = {{0, UTIME_OMIT}, {1, 1}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder_ / step_20_).c_str(), times, 0), 0);
  EXPECT_FALSE(find(step_30_, file_of("b")));
}

TEST_F(DeltaSourceTest, TakesNoFileThatIsReachedThroughALinkOutOfTheRoot) {
  TestFolder outside;
  store(step_10_, 1, file_of("b"));
  outside.write("model.safetensors", file_of("b"));
  std::filesystem::last_write_time(outside / "model.safetensors",
                                   std::filesystem::last_write_time(folder_ / step_10_));
  std::filesystem::remove(folder_ / step_10_);
  std::filesystem::create_symlink(outside / "model.safetensors", folder_ / step_10_);
  EXPECT_FALSE(find(step_30_, file_of("b")));
}

TEST_F(DeltaSourceTest, TriesNoMoreThanAFew) {
  for (std::size_t step = 0; step < limits::earlier_checkpoints_max + 1; ++step) {
    auto const identity = fmt::format("run/step_{}/model.safetensors", step);
    store(identity, 100 - step, file_of("b"));
    if (step < limits::earlier_checkpoints_max) std::filesystem::remove(folder_ / identity);
  }
  EXPECT_FALSE(find(step_30_, file_of("b")));
}

TEST_F(DeltaSourceTest, FindsNothingWhereNothingIsOfTheRunOrInCommon) {
  store("other/step_10/model.safetensors", 1, file_of("b"));
  store(step_30_, 1, file_of("b"));
  EXPECT_FALSE(find(step_30_, file_of("b")));
}

TEST_F(DeltaSourceTest, AsksNobodyWhereDeltasAreOff) {
  store(step_10_, 1, file_of("b"));
  config_.delta = Switch::off;
  EXPECT_FALSE(find(step_30_, file_of("b")));
  EXPECT_TRUE(holders_[0].asked.empty());
}

TEST_F(DeltaSourceTest, AsksNobodyForACheckpointOfNoRun) {
  EXPECT_FALSE(find("model.safetensors", file_of("b")));
  EXPECT_TRUE(holders_[0].asked.empty());
}

TEST_F(DeltaSourceTest, DoesWithoutAWorkerThatIsDown) {
  store(step_10_, 1, file_of("b"));
  members_[1].health.reset();
  auto const bases = find(step_30_, file_of("b"));
  ASSERT_TRUE(bases);
  EXPECT_EQ(bases_of(*bases, file_of("b"), {step_10_}), (Names{step_10_, "-"}));
  EXPECT_TRUE(holders_[1].asked.empty());
}

TEST_F(DeltaSourceTest, DoesWithoutAWorkerThatSaysNothing) {
  store(step_10_, 1, file_of("b"));
  holders_[1].is_silent = true;
  auto const bases = find(step_30_, file_of("b"));
  ASSERT_TRUE(bases);
  EXPECT_EQ(bases_of(*bases, file_of("b"), {step_10_}), (Names{step_10_, "-"}));
  EXPECT_EQ(holders_[1].asked, Names{"/refs"});
}

TEST_F(DeltaSourceTest, GivesUpWhenItsTimeIsOver) {
  store(step_10_, 1, file_of("b"));
  holders_[0].is_silent = true;
  patience_ = std::chrono::milliseconds(50);
  EXPECT_FALSE(find(step_30_, file_of("b")));
  EXPECT_EQ(holders_[0].asked, Names{"/refs"});
}

TEST_F(DeltaSourceTest, EndsAtOnceWhenTheStoreIsCancelled) {
  store(step_10_, 1, file_of("b"));
  holders_[0].is_silent = true;
  auto const layout = layout_of(file_of("b"));
  loop_.run([&]() -> Awaitable<void> {
    TaskGroup store(loop_.executor());
    auto const look = [&]() -> Awaitable<void> {
      auto const bases =
          co_await find_delta_bases(services_, config_, key_of(step_30_), members_, layout);
      EXPECT_FALSE(bases);
    };
    store.spawn("store", look());
    while (holders_[0].asked.empty())
      std::ignore = co_await sleep_for(std::chrono::milliseconds(1));
    auto const begun = std::chrono::steady_clock::now();
    store.cancel();
    co_await store.wait();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, limits::idle_timeout);
    http_.close_idle();
    for (auto& holder : holders_) co_await holder.stop();
  });
}

TEST_F(DeltaSourceTest, LeavesOutHeadersThatAreTooLarge) {
  store(step_10_, 1, file_of("b"));
  auto layout = layout_of(file_of("b"));
  layout.header_bytes = limits::delta_header_bytes_max + 1;
  loop_.run([&]() -> Awaitable<void> {
    auto const bases =
        co_await find_delta_bases(services_, config_, key_of(step_30_), members_, layout);
    EXPECT_FALSE(bases);
    for (auto& holder : holders_) co_await holder.stop();
  });
  EXPECT_TRUE(holders_[0].asked.empty());
}

}  // namespace
}  // namespace grove
