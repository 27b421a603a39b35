// The rules of .safetensors that concern the header's length, its JSON and each entry alone; those
// between tensors are in safetensors_test.cpp.
#include "format/header_reader.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "format/safetensors_fixture.h"

namespace grove {
namespace {

// A file of one tensor "t" with these fields and as many bytes of data as announced.
Result<SafetensorsLayout> parse_tensor(std::string_view fields, std::uint64_t data_bytes) {
  return parse_json(fmt::format(R"({{"t":{{{}}}}})", fields), data_bytes);
}

std::string refusal_of(Result<SafetensorsLayout> const& layout) {
  if (layout.has_value()) return "accepted";
  EXPECT_EQ(layout.error().kind, ErrorKind::invalid);
  EXPECT_EQ(layout.error().message.find('\n'), std::string::npos);
  return layout.error().message;
}

std::string refusal_of_json(std::string_view json) {
  return refusal_of(parse_json(json, 0));
}

// Gives `prefix`, then fails: to see that reading went beyond it.
ByteReader reader_that_breaks_after(std::string prefix) {
  return
      [reader = reader_of(std::move(prefix))](std::span<std::byte> target) -> Result<std::size_t> {
        TRY(auto const bytes, reader(target));
        if (bytes == 0) return fail(ErrorKind::unavailable, "the reader broke");
        return bytes;
      };
}

std::string length_prefix(std::uint64_t length) {
  std::string prefix(8, '\0');
  store_little_endian(std::as_writable_bytes(std::span(prefix)), 0, length);
  return prefix;
}

TEST(HeaderLength, RefusesFilesShorterThanTheLengthItself) {
  EXPECT_EQ(refusal_of(parse_safetensors(reader_of(""), 0)),
            "the file has 0 bytes, a .safetensors file has at least 8");
  EXPECT_EQ(refusal_of(parse_safetensors(reader_of("1234567"), 7)),
            "the file has 7 bytes, a .safetensors file has at least 8");
}

TEST(HeaderLength, RefusesAnEmptyHeader) {
  EXPECT_EQ(refusal_of_json(""), "the header is not valid JSON at byte 8");
}

TEST(HeaderLength, AcceptsTheDecimalLimitAndNoByteMore) {
  constexpr std::uint64_t max = limits::safetensors_header_bytes_max;
  static_assert(max == 100'000'000);
  auto const accepted = parse_safetensors(reader_that_breaks_after(length_prefix(max)), 8 + max);
  EXPECT_EQ(accepted.error().kind, ErrorKind::unavailable);
  auto const refused = parse_safetensors(reader_that_breaks_after(length_prefix(max + 1)), 9 + max);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
  EXPECT_EQ(refused.error().message,
            "the header says it is 100000001 bytes long, at most 100000000 are allowed; is this a "
            ".safetensors file?");
}

TEST(HeaderLength, RefusesALengthThatWouldOverflow) {
  auto const layout = parse_safetensors(reader_of(length_prefix(UINT64_MAX) + "{}"), 10);
  EXPECT_NE(refusal_of(layout).find("18446744073709551615 bytes long"), std::string::npos);
}

TEST(HeaderLength, AcceptsAHeaderThatEndsWithTheFileAndRefusesOneThatGoesOn) {
  EXPECT_TRUE(parse_safetensors(reader_of(length_prefix(2) + "{}"), 10).has_value());
  EXPECT_EQ(refusal_of(parse_safetensors(reader_of(length_prefix(3) + "{}"), 10)),
            "the header says the file has at least 11 bytes, but it has 10");
}

TEST(HeaderLength, RefusesAStreamThatEndsInside) {
  EXPECT_EQ(refusal_of(parse_safetensors(reader_of("123"), 100)),
            "the file ends at byte 3, inside its header of 8 bytes");
  EXPECT_EQ(refusal_of(parse_safetensors(reader_of(length_prefix(20) + "{}"), 28)),
            "the file ends at byte 10, inside its header of 28 bytes");
}

TEST(HeaderLength, PassesOnTheErrorsOfTheReader) {
  auto const layout = parse_safetensors(reader_that_breaks_after(length_prefix(20) + "{\"a"), 28);
  EXPECT_EQ(layout.error(), (Error{ErrorKind::unavailable, "the reader broke"}));
}

TEST(HeaderJson, MayComeInPiecesOfAnySize) {
  std::string const header = header_of(R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})");
  for (std::size_t const piece_bytes : {1, 2, 7, 64}) {
    auto const layout = parse_safetensors(reader_of(header, piece_bytes), header.size() + 2);
    EXPECT_EQ(layout.value().tensors.size(), 1u);
  }
}

TEST(HeaderJson, MayHaveNoTensors) {
  auto const layout = parse_json("{}", 0).value();
  EXPECT_EQ(layout.header_bytes, 10u);
  EXPECT_EQ(layout.data_bytes, 0u);
  EXPECT_TRUE(layout.tensors.empty());
}

TEST(HeaderJson, MayHaveWhiteSpaceAroundIt) {
  EXPECT_TRUE(parse_json(" \t\r\n{}", 0).has_value());
  EXPECT_TRUE(parse_json("{} \t\r\n   ", 0).has_value());
}

TEST(HeaderJson, RefusesAnythingElseAroundIt) {
  EXPECT_EQ(refusal_of_json("{}x"), "the header is not valid JSON at byte 10");
  EXPECT_EQ(refusal_of_json("{}{}"), "the header is not valid JSON at byte 10");
  EXPECT_EQ(refusal_of_json("\f{}"), "the header is not valid JSON at byte 8");
  EXPECT_EQ(refusal_of_json("/**/{}"), "the header is not valid JSON at byte 8");
  EXPECT_EQ(refusal_of_json("{"), "the header is not valid JSON at byte 9");
}

TEST(HeaderJson, RefusesAByteOrderMark) {
  EXPECT_EQ(refusal_of_json("\xef\xbb\xbf{}"),
            "the header begins with a byte order mark; it must begin with {");
}

TEST(HeaderJson, RefusesAZeroByteAndWhatItWouldHide) {
  using namespace std::string_literals;
  EXPECT_EQ(refusal_of_json("{}\0\0"s), "the header is not valid JSON at byte 10");
  EXPECT_EQ(refusal_of_json("{}\0{\"t\":1}"s), "the header is not valid JSON at byte 10");
  EXPECT_EQ(refusal_of_json("{\"a\0\":1}"s), "the header is not valid JSON at byte 11");
}

TEST(HeaderJson, MustBeAnObject) {
  for (std::string_view const json : {"[]", "null", "1", "-1", "1.5", "true", "\"text\""}) {
    EXPECT_EQ(refusal_of_json(json), "the header is not a JSON object") << json;
  }
}

TEST(HeaderJson, MustBeUtf8) {
  constexpr auto fields = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_TRUE(parse_json(fmt::format(R"({{"模型🙂":{}}})", fields), 0).has_value());
  for (std::string_view const name : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_EQ(refusal_of_json(fmt::format(R"({{"{}":{}}})", name, fields)).substr(0, 33),
              "the header is not valid UTF-8 at ");
  }
  EXPECT_NE(refusal_of_json(fmt::format(R"({{"\ud800":{}}})", fields)), "accepted");
}

TEST(HeaderJson, DoesNotTakeALastReadTextForItsReason) {
  EXPECT_EQ(refusal_of_json(R"({"UTF-8" 1})"), "the header is not valid JSON at byte 17");
}

TEST(HeaderJson, IsNestedToTheLimitAndNoDeeper) {
  auto const nested = [](std::size_t depth) {
    // The header and the tensor are two levels.
    std::string const open(depth - 2, '[');
    std::string const close(depth - 2, ']');
    return fmt::format(R"({{"t":{{"x":{}{},"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}})",
                       open, close);
  };
  EXPECT_TRUE(parse_json(nested(limits::json_depth_max), 0).has_value());
  EXPECT_EQ(refusal_of_json(nested(limits::json_depth_max + 1)),
            "the header is nested deeper than 128 levels");
  EXPECT_EQ(refusal_of_json(nested(100'000)), "the header is nested deeper than 128 levels");
}

TEST(HeaderMetadata, HoldsStringsOnly) {
  EXPECT_TRUE(parse_json(R"({"__metadata__":{"format":"pt","":""}})", 0).has_value());
  EXPECT_TRUE(parse_json(R"({"__metadata__":{}})", 0).has_value());
  EXPECT_TRUE(parse_json(R"({"__metadata__":null})", 0).has_value());
  for (std::string_view const value : {"1", "-1", "1.5", "null", "true", "{}", "[]"}) {
    EXPECT_EQ(refusal_of_json(fmt::format(R"({{"__metadata__":{{"step":{}}}}})", value)),
              "__metadata__: the value of \"step\" is not a string");
  }
}

TEST(HeaderMetadata, IsAnObject) {
  for (std::string_view const value : {"1", "\"pt\"", "[]", "false"}) {
    EXPECT_EQ(refusal_of_json(fmt::format(R"({{"__metadata__":{}}})", value)),
              "__metadata__ is not an object");
  }
}

TEST(HeaderMetadata, AppearsOnce) {
  EXPECT_EQ(refusal_of_json(R"({"__metadata__":{},"__metadata__":{}})"),
            "__metadata__ appears twice");
}

TEST(HeaderTensor, IsAnObject) {
  for (std::string_view const value : {"1", "\"F32\"", "null", R"(["U8",[0],[0,0]])"}) {
    EXPECT_EQ(refusal_of_json(fmt::format(R"({{"a.b":{}}})", value)),
              "tensor \"a.b\": not an object with dtype, shape and data_offsets");
  }
}

TEST(HeaderTensor, NeedsEachField) {
  EXPECT_EQ(refusal_of(parse_tensor(R"("shape":[0],"data_offsets":[0,0])", 0)),
            "tensor \"t\": dtype is missing");
  EXPECT_EQ(refusal_of(parse_tensor(R"("dtype":"U8","data_offsets":[0,0])", 0)),
            "tensor \"t\": shape is missing");
  EXPECT_EQ(refusal_of(parse_tensor(R"("dtype":"U8","shape":[0])", 0)),
            "tensor \"t\": data_offsets are missing");
}

TEST(HeaderTensor, HasItsFieldsInAnyOrder) {
  EXPECT_TRUE(parse_tensor(R"("data_offsets":[0,4],"shape":[2],"dtype":"F16")", 4).has_value());
}

TEST(HeaderTensor, RefusesAFieldThatAppearsTwice) {
  constexpr std::string_view fields = R"("dtype":"U8","shape":[1],"data_offsets":[0,1])";
  EXPECT_TRUE(parse_tensor(fields, 1).has_value());
  EXPECT_EQ(refusal_of(parse_tensor(fmt::format(R"({},"dtype":"U8")", fields), 1)),
            "tensor \"t\": dtype appears twice");
  EXPECT_EQ(refusal_of(parse_tensor(fmt::format(R"({},"shape":[1])", fields), 1)),
            "tensor \"t\": shape appears twice");
  EXPECT_EQ(refusal_of(parse_tensor(fmt::format(R"({},"data_offsets":[0,1])", fields), 1)),
            "tensor \"t\": data_offsets appears twice");
}

TEST(HeaderTensor, MayHaveOtherFieldsOfAnyKind) {
  for (std::string_view const value :
       {"null", "true", "-1", "1", "1.5", "\"x\"", R"({"dtype":"?","a":[{"shape":[]}]})",
        R"([[],{},"data_offsets"])"}) {
    EXPECT_TRUE(
        parse_tensor(fmt::format(R"("x":{},"dtype":"U8","x":{},"shape":[1],"data_offsets":[0,1])",
                                 value, value),
                     1)
            .has_value())
        << value;
  }
}

TEST(HeaderTensor, MayHaveNumbersOfAnySizeInOtherFields) {
  auto const refusal = [](std::string_view number) {
    return refusal_of(parse_tensor(
        fmt::format(R"("dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{})", number), 1));
  };
  EXPECT_EQ(refusal("1e400"), "accepted");
  EXPECT_EQ(refusal(std::string(1000, '9')), "accepted");
  EXPECT_EQ(refusal("1e9999999999"), "the header has a number beyond any use at byte 75");
}

TEST(HeaderTensor, MayHaveAnyName) {
  for (std::size_t const bytes : {0, 1, 11, 12, 13, 127, 128, 129, 5000, 70'000}) {
    std::string const name(bytes, 'n');
    std::string const json =
        fmt::format(R"({{"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}})", name);
    for (std::size_t const piece_bytes : {1, 5, 4096}) {
      std::string const header = header_of(json);
      EXPECT_TRUE(parse_safetensors(reader_of(header, piece_bytes), header.size()).has_value());
    }
  }
}

TEST(HeaderTensor, ShowsAHostileNameOnOneShortLine) {
  std::string const json = fmt::format(R"({{"a\nb{}":1}})", std::string(1000, 'x'));
  EXPECT_EQ(refusal_of_json(json),
            fmt::format("tensor \"a\\x0ab{}…\": not an object with dtype, shape and data_offsets",
                        std::string(97, 'x')));
}

struct DtypeCase {
  std::string_view name;
  std::uint64_t bits;
};

class HeaderDtype : public testing::TestWithParam<DtypeCase> {};

TEST_P(HeaderDtype, HasItsOwnWidth) {
  std::string_view const name = GetParam().name;
  std::uint64_t const bytes = 24 * GetParam().bits / 8;
  auto const parse = [&](std::uint64_t end) {
    return parse_tensor(
        fmt::format(R"("dtype":"{}","shape":[4,3,2],"data_offsets":[0,{}])", name, end), end);
  };
  ASSERT_TRUE(parse(bytes).has_value());
  EXPECT_EQ(parse(bytes).value().data_bytes, bytes);
  EXPECT_EQ(
      refusal_of(parse(bytes + 1)),
      fmt::format("tensor \"t\": data_offsets [0,{}] hold {} bytes, its dtype and shape need {}",
                  bytes + 1, bytes + 1, bytes));
  EXPECT_NE(refusal_of(parse(bytes - 1)), "accepted");
}

INSTANTIATE_TEST_SUITE_P(
    All, HeaderDtype,
    testing::Values(DtypeCase{"BOOL", 8}, DtypeCase{"F4", 4}, DtypeCase{"F6_E2M3", 6},
                    DtypeCase{"F6_E3M2", 6}, DtypeCase{"U8", 8}, DtypeCase{"I8", 8},
                    DtypeCase{"F8_E5M2", 8}, DtypeCase{"F8_E4M3", 8}, DtypeCase{"F8_E8M0", 8},
                    DtypeCase{"F8_E4M3FNUZ", 8}, DtypeCase{"F8_E5M2FNUZ", 8}, DtypeCase{"I16", 16},
                    DtypeCase{"U16", 16}, DtypeCase{"F16", 16}, DtypeCase{"BF16", 16},
                    DtypeCase{"I32", 32}, DtypeCase{"U32", 32}, DtypeCase{"F32", 32},
                    DtypeCase{"C64", 64}, DtypeCase{"F64", 64}, DtypeCase{"I64", 64},
                    DtypeCase{"U64", 64}),
    [](auto const& case_info) { return std::string(case_info.param.name); });

TEST(HeaderDtype, IsOneOfThoseKnown) {
  for (std::string_view const dtype : {"F7", "f32", "", "F32 ", "F128"}) {
    EXPECT_EQ(refusal_of(parse_tensor(
                  fmt::format(R"("dtype":"{}","shape":[0],"data_offsets":[0,0])", dtype), 0)),
              fmt::format("tensor \"t\": unknown dtype \"{}\"", dtype));
  }
  for (std::string_view const dtype : {"null", "32", "[]", "{}"}) {
    EXPECT_EQ(refusal_of(parse_tensor(
                  fmt::format(R"("dtype":{},"shape":[0],"data_offsets":[0,0])", dtype), 0)),
              "tensor \"t\": dtype is not a string");
  }
}

TEST(HeaderDtype, MustFillWholeBytes) {
  EXPECT_TRUE(parse_tensor(R"("dtype":"F4","shape":[2],"data_offsets":[0,1])", 1).has_value());
  EXPECT_EQ(refusal_of(parse_tensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])", 1)),
            "tensor \"t\": its 12 bits do not fill whole bytes");
  EXPECT_TRUE(parse_tensor(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3])", 3).has_value());
  EXPECT_EQ(refusal_of(parse_tensor(R"("dtype":"F6_E2M3","shape":[3],"data_offsets":[0,2])", 2)),
            "tensor \"t\": its 18 bits do not fill whole bytes");
}

TEST(HeaderShape, OfNothingIsOneElement) {
  EXPECT_TRUE(parse_tensor(R"("dtype":"F64","shape":[],"data_offsets":[0,8])", 8).has_value());
  EXPECT_NE(refusal_of(parse_tensor(R"("dtype":"F64","shape":[],"data_offsets":[0,0])", 0)),
            "accepted");
}

TEST(HeaderShape, WithAZeroIsNoElement) {
  EXPECT_TRUE(parse_tensor(R"("dtype":"F64","shape":[3,0],"data_offsets":[0,0])", 0).has_value());
  EXPECT_NE(refusal_of(parse_tensor(R"("dtype":"F64","shape":[3,0],"data_offsets":[0,8])", 8)),
            "accepted");
}

TEST(HeaderShape, IsAListOfUnsignedIntegers) {
  for (std::string_view const shape :
       {"[-1]", "[-0]", "[1.0]", "[1e0]", "[18446744073709551616]", "[null]", "[\"1\"]", "[[1]]",
        "[{}]", "[true]", "1", "{}", "\"1\"", "null"}) {
    EXPECT_EQ(refusal_of(parse_tensor(
                  fmt::format(R"("dtype":"U8","shape":{},"data_offsets":[0,1])", shape), 1)),
              "tensor \"t\": shape is not a list of integers within 0 and 2^64-1")
        << shape;
  }
}

TEST(HeaderShape, RefusesAProductThatOverflows) {
  auto const refusal = [](std::string_view dtype, std::string_view shape) {
    return refusal_of(parse_tensor(
        fmt::format(R"("dtype":"{}","shape":{},"data_offsets":[0,0])", dtype, shape), 0));
  };
  constexpr std::string_view overflow =
      "tensor \"t\": its shape needs more bits than 64 bits count";
  EXPECT_EQ(refusal("U8", "[4294967296,4294967296]"), overflow);
  EXPECT_EQ(refusal("U8", "[4294967296,4294967296,0]"), overflow);
  EXPECT_EQ(refusal("U8", "[0,4294967296,4294967296]"), "accepted");
  // 2^61 elements of 8 bits are 2^64 bits; one less is only a lie about the file.
  EXPECT_EQ(refusal("U8", "[2305843009213693952]"), overflow);
  EXPECT_EQ(refusal("U8", "[2305843009213693951]"),
            "tensor \"t\": data_offsets [0,0] hold 0 bytes, its dtype and shape need "
            "2305843009213693951");
}

TEST(HeaderOffsets, AreTwoUnsignedIntegers) {
  for (std::string_view const offsets :
       {"[]", "[0]", "[0,1,1]", "[-0,1]", "[0,1.0]", "[0,-1]", "[0,18446744073709551616]",
        "[0,\"1\"]", "[0,null]", "[[0,1]]", "[0,[1]]", "{}", "1", "null"}) {
    EXPECT_EQ(refusal_of(parse_tensor(
                  fmt::format(R"("dtype":"U8","shape":[1],"data_offsets":{})", offsets), 1)),
              "tensor \"t\": data_offsets are not two integers within 0 and 2^64-1")
        << offsets;
  }
}

TEST(HeaderOffsets, DoNotEndBeforeTheyBegin) {
  EXPECT_EQ(refusal_of(parse_tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])", 1)),
            "tensor \"t\": data_offsets [1,0] end before they begin");
}

}  // namespace
}  // namespace grove
