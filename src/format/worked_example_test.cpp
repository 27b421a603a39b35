// Makes the examples of docs/formats.md and looks for them there.
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "format/chunk.h"
#include "format/delta.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "format/safetensors_fixture.h"

namespace grove {
namespace {

std::string without_white_space(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

// Where an example stands on the page does not matter, nor how it is broken into lines.
bool is_on_the_page(std::string const& example) {
  std::ifstream file(GROVE_SOURCE_DIR "/docs/formats.md");
  std::string const page = (std::ostringstream() << file.rdbuf()).str();
  return without_white_space(page).find(without_white_space(example)) != std::string::npos;
}

std::string hex_of(std::span<std::byte const> bytes) {
  std::string hex;
  for (std::byte const byte : bytes) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return hex;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string const json = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},)"
                         R"("a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})";
std::string const header = header_of(json + std::string(5, ' '));
std::string const data("\x80\x3f\x00\x00\xc0\x3f", 6);
std::string const identity = "run1/step_100/model.safetensors";

ShardList list_of(std::uint64_t file_offset, std::string_view raw) {
  return {.file_offset = file_offset,
          .chunks = {{.digest = sha256(raw), .raw_bytes = static_cast<std::uint32_t>(raw.size())}}};
}

Digest name_of(ShardList const& list) {
  return sha256(serialize(list).span());
}

TEST(WorkedExample, OfAnIdentity) {
  EXPECT_TRUE(is_on_the_page(identity + CheckpointKey::parse(identity).value().digest().hex()));
}

TEST(WorkedExample, OfASafetensorsFileAndItsShard) {
  auto const layout = parse_safetensors(reader_of(header), header.size() + data.size()).value();
  EXPECT_EQ(layout.header_bytes, 120u);
  EXPECT_EQ(spans_of(layout), (std::vector<TensorSpan>{{0, 2}, {2, 6}}));
  EXPECT_TRUE(is_on_the_page(json));
  std::string shard;
  auto const open = []() -> Result<ByteReader> { return reader_of(header); };
  EXPECT_EQ(write_shard_header(open, header.size() + data.size(),
                               {.begin = 2, .end = 6, .is_last_nonempty = true}, sink_into(shard))
                .value(),
            64u);
  EXPECT_TRUE(is_on_the_page("38 00 00 00 00 00 00 00 N = 56" + shard.substr(8)));
}

TEST(WorkedExample, OfAChunk) {
  std::string_view const raw = "smoltorrent";
  EXPECT_TRUE(is_on_the_page(hex_of(encode_chunk(bytes_of(raw), Codec::raw).span())));
}

// Read, not made: another zstd may spell its frames otherwise, but these stay readable for ever.
TEST(WorkedExample, OfAChunkInBytePlanesAndOfADelta) {
  std::string ones;
  std::string base;
  for (int i = 0; i < 32; ++i) {
    ones += "\x80\x3f";
    base += "\x81\x3f";
  }
  std::string const head = "6772766368756e6b01000500400000002a00000000000000a39c50320859b3cf";
  std::string const planes =
      "1100000011000000"
      "28b52ffd2020450000100000010022c002"
      "28b52ffd2020450000107f7f010022c002";
  std::string const delta =
      "67727664656c746101000500400000002a000000020000007865018213b6919d"
      "1100000011000000"
      "28b52ffd2020450000100101010022c002"
      "28b52ffd2020450000100000010022c002";
  EXPECT_TRUE(is_on_the_page(head + planes));
  EXPECT_TRUE(is_on_the_page(delta));
  Buffer scratch;
  std::string const chunk_bytes = from_hex(head + planes);
  EXPECT_TRUE(decode_chunk(bytes_of(chunk_bytes), sha256(ones), scratch).has_value());
  std::string const delta_bytes = from_hex(delta);
  EXPECT_TRUE(
      decode_delta(bytes_of(delta_bytes), bytes_of(base), sha256(ones), scratch).has_value());
}

TEST(WorkedExample, OfAShardList) {
  ShardList const list = list_of(header.size(), data);
  EXPECT_TRUE(is_on_the_page(hex_of(serialize(list).span())));
  EXPECT_TRUE(is_on_the_page("named `" + name_of(list).hex() + "`"));
}

TEST(WorkedExample, OfAManifest) {
  Digest const list = name_of(list_of(header.size(), data));
  Manifest const manifest{.identity = identity,
                          .generation = Generation{1760000000000},
                          .kind = CheckpointKind::safetensors,
                          .file_bytes = 126,
                          .header_bytes = 120,
                          .tensors_count = 2,
                          .mtime_ns = 1760000000123456789,
                          .mode = 0644,
                          .redundancy = 2,
                          .sha256 = sha256(header + data),
                          .header_list = name_of(list_of(0, header)),
                          .shards = {{.begin = 120, .end = 122, .tensors_count = 1, .list = list},
                                     {.begin = 122, .end = 126, .tensors_count = 1, .list = list}}};
  EXPECT_TRUE(is_on_the_page(serialize(manifest)));
  EXPECT_TRUE(is_on_the_page("named `" + sha256(serialize(manifest)).hex() + "`"));
}

TEST(WorkedExample, OfARefAndATombstone) {
  auto const key = CheckpointKey::parse(identity).value();
  EXPECT_TRUE(is_on_the_page(serialize(Ref{.key = key,
                                           .generation = Generation{1760000000000},
                                           .name = RefName{ShardIndex{1}},
                                           .target = name_of(list_of(header.size(), data))})));
  EXPECT_TRUE(is_on_the_page(serialize(Tombstone{.key = key,
                                                 .up_to = Generation{1760000000000},
                                                 .file_bytes = 126,
                                                 .mtime_ns = 1760000000123456789})));
}

}  // namespace
}  // namespace grove
