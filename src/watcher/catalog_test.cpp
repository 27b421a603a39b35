#include "watcher/catalog.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

std::string catalog_text(std::string const& tombstones) {
  return R"({"checkpoints":[{"identity":"a","generations":[
      {"generation":9,"state":"unfinished","bytes":null,"safety":"unfinished","verdict":"x"},
      {"generation":7,"state":"complete","bytes":100,"mtime_ns":5,"safety":"at_risk",
       "shards":4,"verdict":"at risk: 1 of 2 copies"},
      {"generation":3,"state":"complete","bytes":1,"mtime_ns":1,"safety":"safe","verdict":"s"}]},
    {"identity":"b","generations":[
      {"generation":1,"state":"unfinished","bytes":null,"safety":"unfinished","verdict":"x"}]}],
    "tombstones":[)" +
         tombstones + R"(],"workers":2,"workers_alive":2})";
}

TEST(Catalog, KnowsTheNewestCompleteGenerationOfEach) {
  auto const catalog = parse_catalog(catalog_text("")).value();
  ASSERT_EQ(catalog.stored.size(), 1U);
  auto const& stored = catalog.stored.at("a");
  EXPECT_EQ(stored.generation, 7U);
  EXPECT_EQ(stored.shards_count, 4U);
  EXPECT_FALSE(stored.is_safe);
  EXPECT_EQ(stored.verdict, "at risk: 1 of 2 copies");
  EXPECT_TRUE(catalog.has("a", {.inode = 77, .size = 100, .mtime_ns = 5}));
  EXPECT_FALSE(catalog.has("a", {.inode = 77, .size = 100, .mtime_ns = 6}));
  EXPECT_FALSE(catalog.has("a", {.inode = 77, .size = 101, .mtime_ns = 5}));
  EXPECT_FALSE(catalog.has("b", {.inode = 77, .size = 100, .mtime_ns = 5}));
}

TEST(Catalog, ATombstoneCoversWhatItNamesAndNothingStoredLater) {
  auto const older =
      parse_catalog(catalog_text(R"({"identity":"a","up_to":6,"bytes":100,"mtime_ns":5})"));
  EXPECT_FALSE(older.value().has_forgotten("a", {.inode = 1, .size = 100, .mtime_ns = 5}));
  auto const newer =
      parse_catalog(catalog_text(R"({"identity":"a","up_to":7,"bytes":100,"mtime_ns":5},
                      {"identity":"a","up_to":2,"bytes":3,"mtime_ns":3})"));
  EXPECT_TRUE(newer.value().has_forgotten("a", {.inode = 1, .size = 100, .mtime_ns = 5}));
  EXPECT_FALSE(newer.value().has_forgotten("a", {.inode = 1, .size = 100, .mtime_ns = 6}));
  EXPECT_FALSE(newer.value().has("a", {.inode = 1, .size = 100, .mtime_ns = 5}));
}

TEST(Catalog, RefusesWhatIsNoCatalog) {
  for (auto const* text : {"", "[]", "{}", R"({"checkpoints":{}})", R"({"checkpoints":[1]})",
                           R"({"checkpoints":[{"identity":1,"generations":[]}],"tombstones":[]})",
                           R"({"checkpoints":[],"tombstones":[{}]})"}) {
    EXPECT_TRUE(parse_catalog(text).has_error()) << text;
  }
}

TEST(Members, ChangeWithWhoAnswersAndWithWhatIsHeldApart) {
  auto const members = [](std::string const& rows) {
    return parse_members(R"({"workers":[)" + rows + "]}").value();
  };
  std::string const one = R"({"rank":1,"alive":true,"id":"aa","inventory":"x","detail":""})";
  auto const both = members(one + R"(,{"rank":2,"alive":true,"id":"bb","inventory":"y"})");
  auto const fuller = members(one + R"(,{"rank":2,"alive":true,"id":"bb","inventory":"z"})");
  auto const replaced = members(one + R"(,{"rank":2,"alive":true,"id":"cc","inventory":"y"})");
  auto const away = members(one + R"(,{"rank":2,"alive":false,"detail":"refused"})");
  EXPECT_EQ(both.alive_count, 2U);
  EXPECT_EQ(both.members, fuller.members);
  EXPECT_NE(both.inventories, fuller.inventories);
  EXPECT_NE(both.members, replaced.members);
  EXPECT_EQ(away.alive_count, 1U);
  EXPECT_EQ(away.count, 2U);
  EXPECT_EQ(away.silent, std::vector<std::string>{"refused"});
  EXPECT_TRUE(parse_members(R"({"workers":[{}]})").has_error());
}

}  // namespace
}  // namespace grove
