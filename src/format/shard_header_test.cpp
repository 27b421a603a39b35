// Writing the header of one shard (format/safetensors.h).
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "format/safetensors.h"
#include "format/safetensors_fixture.h"

namespace grove {
namespace {

struct Source {
  std::string header;
  std::uint64_t file_bytes = 0;

  HeaderOpener opener() const {
    return [this]() -> Result<ByteReader> { return reader_of(header); };
  }
};

Source source_of(std::string_view json, std::uint64_t data_bytes) {
  std::string header = header_of(json);
  std::uint64_t const file_bytes = header.size() + data_bytes;
  return {std::move(header), file_bytes};
}

// Two tensors of data, three without: at the front, between the two, at the end.
Source five_tensors() {
  return source_of(R"({ "z.end":{"dtype":"F32","shape":[0],"data_offsets":[24,24]},)"
                   R"( "b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24],"more":[1]},)"
                   R"( "__metadata__":{"format":"pt", "step":"300"},)"
                   R"( "z.mid":{"dtype":"F32","shape":[4,0],"data_offsets":[8,8]},)"
                   R"( "a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                   R"( "z.front":{"dtype":"I8","shape":[0],"data_offsets":[0,0]} })",
                   24);
}

std::string shard_header(Source const& source, ShardSpan shard) {
  std::string written;
  auto const size =
      write_shard_header(source.opener(), source.file_bytes, shard, sink_into(written));
  EXPECT_EQ(size.value(), written.size());
  EXPECT_EQ(shard_header_bytes(source.opener(), source.file_bytes, shard).value(), written.size());
  EXPECT_EQ(written.size() % 8, 0u);
  // Whatever a shard holds, its file is a valid one.
  auto const layout =
      parse_safetensors(reader_of(written), written.size() + shard.end - shard.begin);
  EXPECT_TRUE(layout.has_value()) << layout.error().message;
  return written.substr(8);
}

TEST(ShardHeader, HoldsTheTensorsOfItsRangeWithOffsetsFromZero) {
  EXPECT_EQ(shard_header(five_tensors(), {.begin = 8, .end = 24, .is_last_nonempty = true}),
            R"({"z.end":{"dtype":"F32","shape":[0],"data_offsets":[16,16]},)"
            R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
            R"("__metadata__":{"format":"pt","step":"300"},)"
            R"("z.mid":{"dtype":"F32","shape":[4,0],"data_offsets":[0,0]}})"
            "     ");
}

TEST(ShardHeader, LeavesTensorsOfNoSizeOnABorderToTheShardThatBeginsThere) {
  std::string const header = shard_header(five_tensors(), {.begin = 0, .end = 8});
  EXPECT_NE(header.find("z.front"), std::string::npos);
  EXPECT_EQ(header.find("z.mid"), std::string::npos);
  EXPECT_EQ(header.find("z.end"), std::string::npos);
}

TEST(ShardHeader, HasATensorsFieldsInTheSourcesOrder) {
  auto const source =
      source_of(R"({"t":{"shape":[2,1],"x":{"shape":[]},"data_offsets":[0,2],"dtype":"U8"}})", 2);
  EXPECT_EQ(shard_header(source, {.begin = 0, .end = 2, .is_last_nonempty = true}),
            R"({"t":{"shape":[2,1],"data_offsets":[0,2],"dtype":"U8"}})"
            " ");
}

TEST(ShardHeader, IsTheWholeFilesForItsOnlyShard) {
  auto const header = nlohmann::json::parse(
      shard_header(five_tensors(), {.begin = 0, .end = 24, .is_last_nonempty = true}));
  EXPECT_EQ(header.size(), 6u);
}

TEST(ShardHeader, OfAnEmptyShardHasOnlyTheMetadata) {
  EXPECT_EQ(shard_header(five_tensors(), {.begin = 24, .end = 24}),
            R"({"__metadata__":{"format":"pt","step":"300"}})"
            "   ");
  EXPECT_EQ(shard_header(source_of("{}", 0), {}), "{}      ");
}

TEST(ShardHeader, OfAFileWithoutDataHasItsTensorsInOneShard) {
  auto const source = source_of(R"({"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0);
  EXPECT_NE(shard_header(source, {.is_last_nonempty = true}).find("\"e\""), std::string::npos);
  EXPECT_EQ(shard_header(source, {}), "{}      ");
}

TEST(ShardHeader, EveryTensorIsInExactlyOneShard) {
  std::size_t tensors_count = 0;
  for (ShardSpan const shard :
       std::vector<ShardSpan>{{.begin = 0, .end = 8},
                              {.begin = 8, .end = 8},
                              {.begin = 8, .end = 24, .is_last_nonempty = true},
                              {.begin = 24, .end = 24}}) {
    tensors_count += nlohmann::json::parse(shard_header(five_tensors(), shard)).size() - 1;
  }
  EXPECT_EQ(tensors_count, 5u);
}

TEST(ShardHeader, EscapesNamesAsTheyWere) {
  std::string names;
  for (int c = 0; c < 0x20; ++c) names += fmt::format("\\u{:04x}", c);
  names += R"(\"\\\/\u007f/模型\ud83d\ude42)";
  auto const source =
      source_of(fmt::format(R"({{"__metadata__":{{"{0}":"{0}"}},)"
                            R"("{0}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}})",
                            names),
                1);
  std::string const header = shard_header(source, {.begin = 0, .end = 1, .is_last_nonempty = true});
  EXPECT_TRUE(header.starts_with('{'));
  auto const written = nlohmann::json::parse(header);
  auto const original = nlohmann::json::parse(source.header.substr(8));
  EXPECT_EQ(written, original);
  EXPECT_EQ(header.substr(0, header.find_last_of('}') + 1).size(),
            nlohmann::ordered_json::parse(source.header.substr(8)).dump().size());
}

TEST(ShardHeader, IsNoLongerThanTheSourcesAndItsPadding) {
  auto const source =
      source_of(R"({"\n\t\b\f\r\u0001":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  EXPECT_LE(shard_header(source, {.begin = 0, .end = 1, .is_last_nonempty = true}).size(),
            (source.header.size() + 7) / 8 * 8);
}

TEST(ShardHeader, RefusesARangeThatCutsATensor) {
  auto const source = five_tensors();
  EXPECT_EQ(shard_header_bytes(source.opener(), source.file_bytes, {.begin = 0, .end = 10}).error(),
            (Error{ErrorKind::corrupt, "the shard [0,10) cuts the tensor [8,24)"}));
}

TEST(ShardHeader, CallsADamagedHeaderCorrupt) {
  auto const damaged = source_of("{\"a\":1}", 0);
  EXPECT_EQ(shard_header_bytes(damaged.opener(), damaged.file_bytes, {}).error().kind,
            ErrorKind::corrupt);
}

TEST(ShardHeader, NoticesAHeaderThatChangesBetweenTheTwoReadings) {
  auto const refusal = [](std::vector<std::string> const& jsons) {
    std::vector<Source> const sources{source_of(jsons[0], 0), source_of(jsons[1], 0)};
    std::size_t opened_count = 0;
    HeaderOpener const opener = [&]() -> Result<ByteReader> {
      return reader_of(sources[opened_count++].header);
    };
    auto const size = write_shard_header(opener, 1000, {.begin = 0, .end = 1},
                                         [](auto) -> Result<void> { return ok(); });
    EXPECT_EQ(size.error().kind, ErrorKind::corrupt);
    return size.error().message;
  };
  EXPECT_EQ(refusal({"{}", R"({"__metadata__":{"a":"b"}})"}),
            "the header changed while it was read: 2 bytes, then 26");
  constexpr std::string_view tensors =
      R"({{"a":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}}}})";
  EXPECT_EQ(refusal({fmt::format(tensors, 0, 1), fmt::format(tensors, 1, 2)}),
            "the header changed while it was read: at its tensor 1");
}

TEST(ShardHeader, PassesOnTheErrorsOfOpenerReaderAndSink) {
  auto const source = five_tensors();
  Error const gone{ErrorKind::invalid, "gone"};
  EXPECT_EQ(shard_header_bytes([&]() -> Result<ByteReader> { return gone; }, 10, {}).error(), gone);
  HeaderOpener const broken = [&]() -> Result<ByteReader> {
    return [&](std::span<std::byte>) -> Result<std::size_t> { return gone; };
  };
  EXPECT_EQ(shard_header_bytes(broken, 10, {}).error(), gone);
  EXPECT_EQ(write_shard_header(source.opener(), source.file_bytes, {.begin = 0, .end = 8},
                               [&](std::span<std::byte const>) -> Result<void> { return gone; })
                .error(),
            gone);
}

}  // namespace
}  // namespace grove
