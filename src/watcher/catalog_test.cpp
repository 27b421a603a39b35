#include "watcher/catalog.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

std::string catalog_text(std::string const& tombstones) {
  return R"({"checkpoints":[{"identity":"a","generations":[
      {"generation":9,"state":"unfinished","bytes":null,"safety":"unfinished","verdict":"x"},
      {"generation":7,"state":"complete","bytes":100,"mtime_ns":5,"safety":"at_risk",
       "shards":4,"verdict":"at risk: 1 of 2 copies","lacking":[2]},
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
  EXPECT_TRUE(stored.is_lacking);
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
  for (auto const* text :
       {"", "[]", "{}", R"({"checkpoints":{}})", R"({"checkpoints":[1]})",
        R"({"checkpoints":[{"identity":1,"generations":[]}],"tombstones":[]})",
        R"({"checkpoints":[{}],"tombstones":[]})", R"({"checkpoints":[],"tombstones":[{}]})",
        R"({"checkpoints":[],"tombstones":[[]]})", R"({"checkpoints":[]})",
        R"({"checkpoints":[],"tombstones":[]}x)"}) {
    EXPECT_TRUE(parse_catalog(text).has_error()) << text;
  }
}

TEST(Catalog, ReadsTheBriefRowsOfWhatIsSafe) {
  auto const catalog = parse_catalog(
      R"({"checkpoints":[{"identity":"a","generations":[{"generation":7,"state":"complete",
          "bytes":100,"mtime_ns":5,"safety":"safe","shards":4}]}],"tombstones":[],"workers":2})");
  auto const& stored = catalog.value().stored.at("a");
  EXPECT_TRUE(stored.is_safe);
  EXPECT_FALSE(stored.is_lacking);
  EXPECT_TRUE(catalog.value().has("a", {.inode = 1, .size = 100, .mtime_ns = 5}));
}

TEST(Told, CountsThoseThatKeptItAndNamesTheFirstOther) {
  auto const told = parse_told(R"({"workers":[{"rank":1,"kept":true,"detail":""},
      {"rank":2,"kept":false,"detail":"refused"},{"rank":3,"kept":false,"detail":"later"}]})");
  EXPECT_EQ(told.value().kept_count, 1U);
  EXPECT_EQ(told.value().detail, "refused");
  for (auto const* text : {"", "[]", R"({"workers":[1]})", R"({"workers":[{"kept":"yes"}]})",
                           R"({"workers":{"kept":true}})"}) {
    EXPECT_TRUE(parse_told(text).has_error()) << text;
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

TEST(Catalog, KnowsWhatTheCoordinatorHealsAndWhatIsPinned) {
  auto const catalog =
      parse_catalog(
          R"({"checkpoints":[{"identity":"a","pinned":true,"generations":[{"generation":7,
            "state":"complete","bytes":100,"mtime_ns":5,"shards":4,"safety":"healing",
            "verdict":"healing: 1 of 2 copies","lacking":[2]}]},
            {"identity":"b","pinned":true,"generations":[]},
            {"identity":"c","pinned":false,"generations":[]}],"tombstones":[]})")
          .value();
  EXPECT_TRUE(catalog.stored.at("a").is_healing);
  EXPECT_FALSE(catalog.stored.at("a").is_safe);
  EXPECT_EQ(catalog.pinned, (std::set<std::string>{"a", "b"}));
  EXPECT_FALSE(parse_catalog(catalog_text("")).value().stored.at("a").is_healing);
}

}  // namespace
}  // namespace grove
