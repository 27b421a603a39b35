#include "transfer/delta_bases.h"

#include <string>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"

namespace grove {
namespace {

constexpr std::uint64_t header_bytes = 100;

// Two files of the same two tensors, "a" of 70,000 bytes and "b" of 80,000.
class DeltaBasesTest : public testing::Test {
 protected:
  DeltaBasesTest() {
    std::uint64_t fingerprint = 0;
    for (std::uint64_t const bytes : {70'000u, 80'000u}) {
      layout_.tensors.push_back(
          {.span = {layout_.data_bytes, layout_.data_bytes + bytes}, .fingerprint = ++fingerprint});
      layout_.data_bytes += bytes;
    }
    layout_.header_bytes = header_bytes;
    plan_ = plan_safetensors(layout_, 1);
    folder_.write("old", std::string(header_bytes, 'h') + std::string(70'000, 'a') +
                             std::string(80'000, 'b'));
  }

  DeltaBases bases() const {
    std::vector<ShardList> lists{{.file_offset = header_bytes}};
    for (auto const& slice : plan_.shards[0].chunks) {
      lists[0].chunks.push_back({sha256(std::to_string(slice.offset)), slice.bytes});
    }
    return DeltaBases(File::open_readonly(folder_ / "old").value(),
                      DeltaPairs(layout_, layout_, lists), CacheUse::keep);
  }
  ChunkSlice const& chunk_of_a() const { return plan_.shards[0].chunks.at(0); }
  ChunkSlice const& chunk_of_b() const { return plan_.shards[0].chunks.at(1); }

  TestFolder folder_;
  SafetensorsLayout layout_;
  FilePlan plan_;
};

TEST_F(DeltaBasesTest, ReadTheBytesOfTheEarlierFile) {
  auto earlier = bases();
  auto const base = earlier.find(chunk_of_b());
  ASSERT_TRUE(base);
  EXPECT_EQ(base->digest, sha256("70100"));
  std::string bytes(base->raw_bytes, '\0');
  EXPECT_TRUE(earlier.read(*base, std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(bytes, std::string(80'000, 'b'));
}

TEST_F(DeltaBasesTest, HaveNoneForTheHeader) {
  EXPECT_FALSE(bases().find(plan_.header_chunks.at(0)));
}

TEST_F(DeltaBasesTest, FailWhereTheEarlierFileHasBecomeShorter) {
  auto earlier = bases();
  std::filesystem::resize_file(folder_ / "old", 100'000);
  auto const base = earlier.find(chunk_of_b());
  std::string bytes(base->raw_bytes, '\0');
  auto const read = earlier.read(*base, std::as_writable_bytes(std::span(bytes)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::corrupt);
}

TEST_F(DeltaBasesTest, GiveUpTheTensorWhoseDeltasAreRefused) {
  auto earlier = bases();
  for (std::size_t time = 0; time < limits::delta_refusals_max; ++time) {
    EXPECT_TRUE(earlier.find(chunk_of_a()));
    earlier.note(chunk_of_a(), DeltaOutcome::refused);
  }
  EXPECT_FALSE(earlier.find(chunk_of_a()));
  EXPECT_TRUE(earlier.find(chunk_of_b()));
}

}  // namespace
}  // namespace grove
