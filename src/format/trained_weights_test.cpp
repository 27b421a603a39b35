// What really trained weights come to: two steps of one run, tests/data/pre-*.w16.safetensors.
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "format/chunk.h"
#include "format/delta.h"

namespace grove {
namespace {

using Bytes = std::vector<std::byte>;

Bytes tensors_of(std::string const& name) {
  std::ifstream file(std::string(GROVE_TEST_DATA) + "/" + name, std::ios::binary);
  std::string const content(std::istreambuf_iterator<char>(file), {});
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, content.data(), sizeof(header_bytes));
  auto const data = bytes_of(content).subspan(sizeof(header_bytes) + header_bytes);
  return {data.begin(), data.end()};
}

Bytes const before = tensors_of("pre-290.w16.safetensors");
Bytes const after = tensors_of("pre-300.w16.safetensors");

double share_of_raw(std::size_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(after.size());
}

TEST(TrainedWeights, ShrinkAsMadeOnesDo) {
  Codec const codec = choose_codec(after, ValueType::bf16).codec;
  EXPECT_EQ(codec, Codec::bf16);
  EXPECT_LE(share_of_raw(encode_chunk(after, codec).size()), 0.668);
  EXPECT_EQ(choose_codec(after, ValueType::unknown).codec, codec);
}

TEST(TrainedWeights, AreAQuarterOfThemselvesAsADeltaToTenStepsBefore) {
  auto const delta =
      encode_delta(after, before, ValueType::bf16, Codec::bf16, after.size()).value();
  EXPECT_LE(share_of_raw(delta.size()), 0.222);
  Buffer scratch;
  auto const rebuilt = decode_delta(delta.span(), before, sha256(after), scratch).value();
  EXPECT_EQ(rebuilt.store_as, Codec::bf16);
  // Without being told what they are it comes to the same.
  EXPECT_EQ(encode_delta(after, before, ValueType::unknown, Codec::bf16, after.size())->size(),
            delta.size());
}

}  // namespace
}  // namespace grove
