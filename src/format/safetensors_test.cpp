// The rules of .safetensors between tensors, whole files, and large headers; the rules of one entry
// alone are in header_reader_test.cpp.
#include "format/safetensors.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "format/safetensors_fixture.h"

namespace grove {
namespace {

std::string u8_tensor(std::string_view name, std::uint64_t begin, std::uint64_t end) {
  return fmt::format(R"("{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})", name,
                     end - begin, begin, end);
}

Result<SafetensorsLayout> parse_tensors(std::vector<std::string> const& tensors,
                                        std::uint64_t data_bytes) {
  return parse_json(fmt::format("{{{}}}", fmt::join(tensors, ",")), data_bytes);
}

std::string refusal_of(Result<SafetensorsLayout> const& layout) {
  if (layout.has_value()) return "accepted";
  EXPECT_EQ(layout.error().kind, ErrorKind::invalid);
  return layout.error().message;
}

TEST(SafetensorsLayout, HasTheTensorsInFileOrder) {
  auto const layout =
      parse_tensors({u8_tensor("c", 7, 9), u8_tensor("a", 0, 4), u8_tensor("b", 4, 7)}, 9).value();
  EXPECT_EQ(layout.data_bytes, 9u);
  EXPECT_EQ(spans_of(layout), (std::vector<TensorSpan>{{0, 4}, {4, 7}, {7, 9}}));
}

TEST(SafetensorsLayout, NeedsNoAlignment) {
  auto const layout = parse_json(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                 R"("b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}})",
                                 9);
  EXPECT_TRUE(layout.has_value());
}

TEST(SafetensorsLayout, MayHaveTensorsOfNoSizeAnywhere) {
  auto const layout =
      parse_tensors({u8_tensor("e", 6, 6), u8_tensor("d", 2, 6), u8_tensor("c", 2, 2),
                     u8_tensor("b", 0, 2), u8_tensor("a", 0, 0), u8_tensor("a2", 0, 0)},
                    6)
          .value();
  EXPECT_EQ(spans_of(layout),
            (std::vector<TensorSpan>{{0, 0}, {0, 0}, {0, 2}, {2, 2}, {2, 6}, {6, 6}}));
}

TEST(SafetensorsLayout, BeginsAtZero) {
  EXPECT_EQ(refusal_of(parse_tensors({u8_tensor("a", 1, 3)}, 3)),
            "the tensor with data_offsets [1,3] leaves a gap: the tensors before it end at 0");
  EXPECT_NE(refusal_of(parse_tensors({u8_tensor("a", 3, 3)}, 3)), "accepted");
}

TEST(SafetensorsLayout, RefusesOverlaps) {
  EXPECT_EQ(refusal_of(parse_tensors({u8_tensor("a", 0, 4), u8_tensor("b", 2, 6)}, 6)),
            "the tensor with data_offsets [2,6] overlaps others: the tensors before it end at 4");
  EXPECT_NE(refusal_of(parse_tensors({u8_tensor("a", 0, 4), u8_tensor("b", 0, 4)}, 4)), "accepted");
  EXPECT_NE(refusal_of(parse_tensors({u8_tensor("a", 0, 4), u8_tensor("b", 2, 2)}, 4)), "accepted");
}

TEST(SafetensorsLayout, RefusesGaps) {
  EXPECT_EQ(refusal_of(parse_tensors({u8_tensor("a", 0, 4), u8_tensor("b", 5, 6)}, 6)),
            "the tensor with data_offsets [5,6] leaves a gap: the tensors before it end at 4");
}

TEST(SafetensorsLayout, EndsExactlyWithTheFile) {
  std::vector<std::string> const tensors{u8_tensor("a", 0, 4)};
  EXPECT_TRUE(parse_tensors(tensors, 4).has_value());
  EXPECT_EQ(refusal_of(parse_tensors(tensors, 3)),
            "the tensors take 4 bytes, but the file has 3 for them");
  EXPECT_EQ(refusal_of(parse_tensors(tensors, 5)),
            "the tensors take 4 bytes, but the file has 5 for them");
  EXPECT_EQ(refusal_of(parse_json("{}", 1)),
            "the tensors take 0 bytes, but the file has 1 for them");
}

TEST(SafetensorsLayout, RefusesOffsetsBeyondAnyFile) {
  EXPECT_NE(refusal_of(parse_json(R"({"a":{"dtype":"U8","shape":[2305843009213693951],)"
                                  R"("data_offsets":[0,2305843009213693951]}})",
                                  0)),
            "accepted");
}

TEST(SafetensorsLayout, RefusesTwoTensorsOfOneName) {
  EXPECT_TRUE(parse_tensors({u8_tensor("a", 0, 1), u8_tensor("A", 1, 2)}, 2).has_value());
  EXPECT_EQ(refusal_of(parse_tensors({u8_tensor("a", 0, 1), u8_tensor("a", 1, 2)}, 2)),
            "two tensors have the same name: before byte 12 and before byte 64");
  // Where the reference's reader would let it pass.
  EXPECT_NE(refusal_of(parse_tensors({u8_tensor("a", 0, 0), u8_tensor("a", 0, 0)}, 0)), "accepted");
  EXPECT_NE(refusal_of(parse_tensors({u8_tensor("a", 0, 1), u8_tensor("\\u0061", 1, 2)}, 2)),
            "accepted");
}

TEST(SafetensorsLayout, RefusesTwoMetadataEntriesOfOneName) {
  EXPECT_TRUE(parse_json(R"({"__metadata__":{"a":"1","b":"1"}})", 0).has_value());
  EXPECT_EQ(refusal_of(parse_json(R"({"__metadata__":{"a":"1","a":"1"}})", 0)),
            "two entries of __metadata__ have the same name: before byte 28 and before byte 36");
}

TEST(SafetensorsLayout, TellsMetadataFromATensorOfAnEntrysName) {
  std::string const json = R"({"__metadata__":{"a":"1"},)" + u8_tensor("a", 0, 1) + "}";
  EXPECT_TRUE(parse_json(json, 1).has_value());
}

TEST(SafetensorsLayout, SaysWhatKindOfValuesATensorHas) {
  auto const layout = parse_json(R"({"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},)"
                                 R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},)"
                                 R"("c":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[6,7]}})",
                                 7)
                          .value();
  EXPECT_EQ(layout.tensors.at(0).values, ValueType::bf16);
  EXPECT_EQ(layout.tensors.at(1).values, ValueType::f32);
  EXPECT_EQ(layout.tensors.at(2).values, ValueType::b8);
}

std::uint64_t fingerprint_of(std::string_view json, std::uint64_t data_bytes) {
  return parse_json(json, data_bytes).value().tensors.at(0).fingerprint;
}

TEST(SafetensorsFingerprint, IsOfNameDtypeAndShapeHoweverTheyAreWritten) {
  std::uint64_t const plain =
      fingerprint_of(R"({"ab":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}})", 6);
  for (
      std::string_view const json :
      {R"({"ab":{"data_offsets":[0,6],"shape":[2,3],"dtype":"U8"}})",
       R"({ "\u0061b" : {"x":[9], "shape":[ 2, 3 ], "dtype":"\u0055\u0038", "data_offsets":[0,6]}})",
       R"({"__metadata__":{"ab":"U8"},"ab":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}})"}) {
    EXPECT_EQ(fingerprint_of(json, 6), plain) << json;
  }
}

TEST(SafetensorsFingerprint, IsTheSameWhereverTheTensorLies) {
  auto const layout =
      parse_tensors({u8_tensor("first", 0, 4), u8_tensor("second", 4, 7)}, 7).value();
  auto const turned =
      parse_tensors({u8_tensor("second", 0, 3), u8_tensor("first", 3, 7)}, 7).value();
  EXPECT_EQ(layout.tensors.at(0).fingerprint, turned.tensors.at(1).fingerprint);
  EXPECT_EQ(layout.tensors.at(1).fingerprint, turned.tensors.at(0).fingerprint);
}

TEST(SafetensorsFingerprint, TellsTensorsApart) {
  std::vector<std::string_view> const jsons{
      R"({"ab":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}})",
      R"({"a":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}})",
      R"({"abU8":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}})",
      R"({"ab":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}})",
      R"({"ab":{"dtype":"U8","shape":[3,2],"data_offsets":[0,6]}})",
      R"({"ab":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}})",
      R"({"ab":{"dtype":"U8","shape":[6,1],"data_offsets":[0,6]}})",
      R"({"ab":{"dtype":"U16","shape":[3],"data_offsets":[0,6]}})",
  };
  std::set<std::uint64_t> fingerprints;
  for (std::string_view const json : jsons) fingerprints.insert(fingerprint_of(json, 6));
  EXPECT_EQ(fingerprints.size(), jsons.size());
  EXPECT_NE(fingerprint_of(R"({"ab":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1),
            fingerprint_of(R"({"ab":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
}

TEST(SafetensorsLayout, ReadsAReallyTrainedFile) {
  std::ifstream file(GROVE_TEST_DATA "/pre-300.w16.safetensors", std::ios::binary);
  std::string const bytes = (std::ostringstream() << file.rdbuf()).str();
  ASSERT_EQ(bytes.size(), 2148376u);
  auto const layout = parse_safetensors(reader_of(bytes), bytes.size()).value();
  EXPECT_EQ(layout.header_bytes + layout.data_bytes, bytes.size());
  EXPECT_EQ(layout.tensors.front().span, (TensorSpan{0, 524288}));
  auto const cut = parse_safetensors(reader_of(bytes), bytes.size() - 1);
  EXPECT_EQ(cut.error().kind, ErrorKind::invalid);
}

TEST(SafetensorsLayout, ReadsALargeHeaderAsAStream) {
  // Made as it is read, entry by entry, last tensor first.
  constexpr std::uint64_t tensors_count = 40'000;
  constexpr std::uint64_t entry_bytes = 100;
  constexpr std::uint64_t json_bytes = 2 + tensors_count * entry_bytes;
  auto const entry = [](std::uint64_t index) {
    std::string text = u8_tensor(fmt::format("layers.{}.weight", index), index, index + 1);
    text += index == 0 ? "" : ",";
    return text + std::string(entry_bytes - text.size(), ' ');
  };
  std::string pending = header_of("");
  store_little_endian(std::as_writable_bytes(std::span(pending)), 0, json_bytes);
  pending += '{';
  std::uint64_t left_count = tensors_count;
  ByteReader const reader = [&](std::span<std::byte> target) -> Result<std::size_t> {
    while (pending.size() < target.size() && left_count > 0) {
      pending += entry(--left_count);
      if (left_count == 0) pending += '}';
    }
    std::size_t const size = std::min(target.size(), pending.size());
    std::memcpy(target.data(), pending.data(), size);
    pending.erase(0, size);
    return size;
  };
  auto const layout = parse_safetensors(reader, 8 + json_bytes + tensors_count).value();
  EXPECT_EQ(layout.tensors.size(), tensors_count);
  EXPECT_EQ(layout.tensors.back().span, (TensorSpan{tensors_count - 1, tensors_count}));
}

}  // namespace
}  // namespace grove
