#include "coordinator/join_messages.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "transfer/worker_messages.h"

namespace grove {
namespace {

TEST(JoinMessages, ARequestComesBackAsItWasMade) {
  JoinRequest const made{.host = "pi4-3", .id = "abc", .remembered = Rank{3}, .port = 6000};
  auto const read = parse_join(serialize_join(made));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read.value().host, "pi4-3");
  EXPECT_EQ(read.value().id, "abc");
  EXPECT_EQ(read.value().remembered, Rank{3});
  EXPECT_EQ(read.value().port, 6000);
}

TEST(JoinMessages, ANewWorkerHasNeitherRankNorPort) {
  auto const read = parse_join(R"({"host":"a","id":"b","rank":null})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read.value().remembered);
  EXPECT_FALSE(read.value().port);
}

TEST(JoinMessages, ARequestIsRefusedWithTheNameOfTheField) {
  struct Case {
    char const* json;
    char const* field;
  };
  std::string const longest(limits::name_bytes_max, 'h');
  EXPECT_TRUE(parse_join(R"({"id":"b","host":")" + longest + "\"}"));
  EXPECT_FALSE(parse_join(R"({"id":"b","host":"h)" + longest + "\"}"));
  for (auto const& [json, field] :
       {Case{"[]", "body"}, Case{"", "body"}, Case{R"({"id":"b"})", "host"},
        Case{R"({"id":"b","host":""})", "host"}, Case{R"({"id":"b","host":"a\n"})", "host"},
        Case{R"({"id":1,"host":"a"})", "id"}, Case{R"({"id":"b","host":"a","rank":0})", "rank"},
        Case{R"({"id":"b","host":"a","rank":-1})", "rank"},
        Case{R"({"id":"b","host":"a","rank":4294967296})", "rank"},
        Case{R"({"id":"b","host":"a","rank":1.5})", "rank"},
        Case{R"({"id":"b","host":"a","port":0})", "port"},
        Case{R"({"id":"b","host":"a","port":65536})", "port"}}) {
    auto const read = parse_join(json);
    ASSERT_FALSE(read) << json;
    EXPECT_EQ(read.error().kind, ErrorKind::invalid);
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
}

TEST(JoinMessages, AnAnswersLinesComeBackAsTheyWereMade) {
  auto const progress = parse_join_line(serialize_progress({.joined = 2, .wanted = 4}));
  ASSERT_TRUE(progress && progress.value().progress);
  EXPECT_EQ(progress.value().progress->joined, 2u);
  EXPECT_EQ(progress.value().progress->wanted, 4u);
  auto const grant = parse_join_line(serialize_grant({.rank = Rank{3}, .config = "a: 1\n# \"\n"}));
  ASSERT_TRUE(grant && grant.value().grant);
  EXPECT_EQ(grant.value().grant->rank, Rank{3});
  EXPECT_EQ(grant.value().grant->config, "a: 1\n# \"\n");
}

TEST(JoinMessages, AnErrorLineIsPassedOn) {
  auto const read = parse_join_line(serialize_failure(fail(ErrorKind::conflict, "taken")));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::conflict);
  EXPECT_EQ(read.error().message, "taken");
}

TEST(JoinMessages, ALineThatIsNeitherIsRefused) {
  for (auto const* json : {"", "[]", "{}", R"({"joined":1})", R"({"config":"x"})",
                           R"({"rank":1,"config":7})", R"({"rank":0,"config":"x"})"}) {
    EXPECT_FALSE(parse_join_line(json)) << json;
  }
}

}  // namespace
}  // namespace grove
