#include "format/ref.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/limits.h"
#include "format/test_key.h"

namespace grove {
namespace {

Ref example_ref() {
  return {.key = key_of("run1/step_100/model.safetensors"),
          .generation = Generation{1760000000000},
          .name = RefName{ShardIndex{3}},
          .target = sha256("list")};
}

Tombstone example_tombstone() {
  return {.key = key_of("run1/step_100/model.safetensors"),
          .up_to = Generation{1760000000000},
          .file_bytes = 1000,
          .mtime_ns = -5};
}

template <typename Value>
bool is_refused(Result<Value> const& value) {
  EXPECT_TRUE(value.has_value() || value.error().kind == ErrorKind::invalid);
  return value.has_error();
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::size_t const offset = text.find(from);
  EXPECT_NE(offset, std::string::npos) << from;
  return text.replace(offset, from.size(), to);
}

TEST(Ref, IsGivenBackAsItWas) {
  EXPECT_EQ(parse_ref(bytes_of(serialize(example_ref()))).value(), example_ref());
  Ref manifest = example_ref();
  manifest.name = RefName{};
  EXPECT_EQ(parse_ref(bytes_of(serialize(manifest))).value(), manifest);
}

TEST(Ref, IsCanonicalJson) {
  EXPECT_EQ(
      serialize(example_ref()),
      R"({"generation":1760000000000,"identity":"run1/step_100/model.safetensors","name":"3",)"
      R"("target":")" +
          sha256("list").hex() + R"(","version":1})");
  EXPECT_EQ(nlohmann::json::parse(serialize(example_ref())).dump(), serialize(example_ref()));
}

TEST(Ref, RefusesAnythingElse) {
  std::string const json = serialize(example_ref());
  for (auto const& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"name\":\"3\"", "\"name\":3"},
           {"\"name\":\"3\"", "\"name\":\"03\""},
           {"\"name\":\"3\"", "\"name\":\"4096\""},
           {"\"name\":\"3\"", "\"name\":\"shard\""},
           {"run1", ".."},
           {"\"version\":1", "\"version\":2"},
           {"\"version\":1", "\"more\":1,\"version\":1"},
           {"1760000000000", "-1"},
           {"1760000000000", "\"1760000000000\""},
           {",", ", "}}) {
    EXPECT_TRUE(is_refused(parse_ref(bytes_of(replaced(json, from, to))))) << to;
  }
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_TRUE(is_refused(parse_ref(bytes_of(json).first(size))));
  }
  EXPECT_TRUE(is_refused(parse_ref(bytes_of(json + " "))));
}

TEST(Ref, RefusesToReadMoreThanTheLimit) {
  EXPECT_EQ(parse_ref(bytes_of(std::string(limits::ref_bytes_max + 1, ' '))).error().message,
            "ref: 65537 bytes long, at most 65536 are possible");
}

TEST(RefName, IsAShardOrTheManifest) {
  EXPECT_EQ(RefName::parse("0").value(), RefName{ShardIndex{0}});
  EXPECT_EQ(RefName::parse("17").value().text(), "17");
  EXPECT_EQ(RefName::parse("manifest").value(), RefName{});
  EXPECT_EQ(RefName{}.text(), "manifest");
  EXPECT_EQ(RefName::parse("4095").value(), RefName{ShardIndex{limits::shards_count_max - 1}});
  for (std::string_view const text :
       {"", "00", "01", "+1", "-1", " 1", "1 ", "1x", "4096", "Manifest", "18446744073709551616"}) {
    EXPECT_TRUE(is_refused(RefName::parse(text))) << text;
  }
}

TEST(Generation, IsADecimalNumber) {
  EXPECT_EQ(parse_generation("0").value(), Generation{0});
  EXPECT_EQ(parse_generation("18446744073709551615").value(),
            Generation{std::numeric_limits<std::uint64_t>::max()});
  for (std::string_view const text :
       {"", "00", "01", "+1", "-1", " 1", "1 ", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_TRUE(is_refused(parse_generation(text))) << text;
  }
}

TEST(Tombstone, IsGivenBackAsItWas) {
  EXPECT_EQ(parse_tombstone(bytes_of(serialize(example_tombstone()))).value(), example_tombstone());
  EXPECT_EQ(nlohmann::json::parse(serialize(example_tombstone())).dump(),
            serialize(example_tombstone()));
}

TEST(Tombstone, RefusesAnythingElse) {
  std::string const json = serialize(example_tombstone());
  for (auto const& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"run1", ".."},
           {"\"mtime_ns\":-5", "\"mtime_ns\":-05"},
           {"\"mtime_ns\":-5", "\"mtime_ns\":9223372036854775808"},
           {"\"file_bytes\":1000", "\"file_bytes\":-1"},
           {"\"version\":1", "\"version\":2"}}) {
    EXPECT_TRUE(is_refused(parse_tombstone(bytes_of(replaced(json, from, to))))) << to;
  }
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_TRUE(is_refused(parse_tombstone(bytes_of(json).first(size))));
  }
  EXPECT_TRUE(is_refused(parse_ref(bytes_of(json))));
  EXPECT_TRUE(is_refused(parse_tombstone(bytes_of(std::string(limits::ref_bytes_max + 1, ' ')))));
}

Tombstone tombstone_of(std::uint64_t up_to, std::vector<std::uint64_t> const& singles) {
  Tombstone tombstone = example_tombstone();
  tombstone.up_to = Generation{up_to};
  for (auto const single : singles) tombstone.singles.push_back(Generation{single});
  return tombstone;
}

TEST(Tombstone, OfSingleGenerationsIsGivenBackAsItWas) {
  auto const tombstone = tombstone_of(7, {9, 12, std::numeric_limits<std::uint64_t>::max()});
  auto const json = serialize(tombstone);
  EXPECT_EQ(parse_tombstone(bytes_of(json)).value(), tombstone);
  EXPECT_EQ(nlohmann::json::parse(json).dump(), json);
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_TRUE(is_refused(parse_tombstone(bytes_of(json).first(size))));
  }
  for (auto const* wrong : {"[]", "[12,9]", "[9,9]", "[7]", "[6,9]", "[9,]", "[\"9\"]", "[-9]"}) {
    EXPECT_TRUE(
        is_refused(parse_tombstone(bytes_of(replaced(json, "[9,12,18446744073709551615]", wrong)))))
        << wrong;
  }
}

TEST(Tombstone, NamesAsManySingleGenerationsAsAreAllowedAndNoMore) {
  std::vector<std::uint64_t> singles;
  for (std::size_t i = 0; i < limits::tombstone_singles_max; ++i) {
    singles.push_back(std::numeric_limits<std::uint64_t>::max() - 5000 + i);
  }
  auto longest = tombstone_of(7, singles);
  EXPECT_TRUE(check_tombstone(longest).has_value());
  EXPECT_LE(serialize(longest).size(), limits::ref_bytes_max);
  EXPECT_TRUE(parse_tombstone(bytes_of(serialize(longest))).has_value());
  longest.singles.push_back(Generation{std::numeric_limits<std::uint64_t>::max()});
  EXPECT_EQ(check_tombstone(longest).error().kind, ErrorKind::exhausted);
  EXPECT_TRUE(parse_tombstone(bytes_of(serialize(longest))).has_error());
}

TEST(Tombstone, CoversWhatItWasTold) {
  auto const tombstone = tombstone_of(7, {9, 12});
  for (auto const generation : {1, 7, 9, 12}) {
    EXPECT_TRUE(tombstone.covers(Generation{static_cast<std::uint64_t>(generation)}));
  }
  for (auto const generation : {8, 10, 13}) {
    EXPECT_FALSE(tombstone.covers(Generation{static_cast<std::uint64_t>(generation)}));
  }
  EXPECT_EQ(tombstone.newest(), Generation{12});
  EXPECT_EQ(tombstone_of(7, {}).newest(), Generation{7});
}

TEST(Tombstone, MergesToWhatEitherCovers) {
  auto const first = tombstone_of(7, {9, 12});
  auto second = tombstone_of(10, {11});
  second.file_bytes = 5;
  second.mtime_ns = 3;
  auto both = tombstone_of(10, {11, 12});
  both.file_bytes = 5;
  both.mtime_ns = 3;
  EXPECT_EQ(merged(first, second), both);
  EXPECT_EQ(merged(second, first), both);
  EXPECT_EQ(merged(both, first), both);
  EXPECT_EQ(merged(both, both), both);
  auto other_file = first;
  other_file.file_bytes = 2000;
  EXPECT_EQ(merged(first, other_file), merged(other_file, first));
}

}  // namespace
}  // namespace grove
