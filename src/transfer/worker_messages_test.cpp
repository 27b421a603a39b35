#include "transfer/worker_messages.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

constexpr std::string_view some_id = "0123456789abcdef0123456789abcdef";

WorkerAddress some_address() {
  return {.rank = Rank{3},
          .id = std::string(some_id),
          .endpoint = {.host = "192.168.1.7", .port = 5001, .name = "pi4-1"}};
}

CheckpointKey some_key() {
  return CheckpointKey::parse("run1/step_100/model.safetensors").value();
}

std::vector<Digest> some_digests(std::size_t count) {
  std::vector<Digest> digests;
  for (std::size_t index = 0; index < count; ++index) {
    digests.push_back(sha256(std::to_string(index)));
  }
  return digests;
}

TEST(WorkerMessages, HealthSurvivesTheWay) {
  WorkerHealth health;
  health.rank = Rank{2};
  health.id = some_id;
  health.host = "pi4-2";
  health.version = "0.1.0";
  health.format = 1;
  health.free_bytes = UINT64_MAX;
  health.total_bytes = 20;
  health.reserved_bytes = 1;
  health.inventory = sha256("x").hex();
  auto const parsed = parse_health(serialize_health(health)).value();
  EXPECT_EQ(parsed.rank, health.rank);
  EXPECT_EQ(parsed.id, health.id);
  EXPECT_EQ(parsed.host, health.host);
  EXPECT_EQ(parsed.free_bytes, health.free_bytes);
  EXPECT_EQ(parsed.reserved_bytes, health.reserved_bytes);
  EXPECT_EQ(parsed.inventory, health.inventory);
}

TEST(WorkerMessages, RefusesANameThatWouldSteerATerminal) {
  WorkerHealth health;
  health.id = std::string(32, 'a');
  health.host = std::string(255, 'h');
  EXPECT_TRUE(parse_health(serialize_health(health)).has_value());
  for (auto const* host : {"pi\n   1  other", "pi\x1b[2J", "pi\x07"}) {
    health.host = host;
    EXPECT_EQ(parse_health(serialize_health(health)).error().kind, ErrorKind::invalid) << host;
  }
  health.host = std::string(256, 'h');
  EXPECT_EQ(parse_health(serialize_health(health)).error().kind, ErrorKind::invalid);
}

TEST(WorkerMessages, RefusesTheHealthOfAStranger) {
  EXPECT_EQ(parse_health("<html>").error().kind, ErrorKind::invalid);
  EXPECT_EQ(parse_health("[]").error().kind, ErrorKind::invalid);
  EXPECT_EQ(parse_health("{}").error().kind, ErrorKind::invalid);
  EXPECT_EQ(parse_health(R"({"rank":-1,"id":"x"})").error().kind, ErrorKind::invalid);
}

TEST(WorkerMessages, AnInventoryPageSurvivesTheWay) {
  InventoryPage page;
  page.next = "after this";
  Ref const shard{.key = some_key(),
                  .generation = Generation{7},
                  .name = RefName{ShardIndex{2}},
                  .target = sha256("list")};
  page.refs.push_back({.ref = shard, .missing_count = 3, .bytes = 99, .verified_ms = 1234});
  Ref manifest = shard;
  manifest.name = {};
  page.refs.push_back({.ref = manifest, .missing_count = 0, .bytes = 1, .verified_ms = {}});
  page.tombstones.push_back(
      {.key = some_key(), .up_to = Generation{5}, .file_bytes = 10, .mtime_ns = -1});
  auto const parsed = parse_inventory(serialize_inventory(page)).value();
  EXPECT_EQ(parsed.next, page.next);
  ASSERT_EQ(parsed.refs.size(), 2u);
  EXPECT_EQ(parsed.refs[0].ref, shard);
  EXPECT_EQ(parsed.refs[0].missing_count, 3u);
  EXPECT_EQ(parsed.refs[0].verified_ms, 1234);
  EXPECT_EQ(parsed.refs[1].ref, manifest);
  EXPECT_FALSE(parsed.refs[1].verified_ms.has_value());
  EXPECT_EQ(parsed.tombstones, page.tombstones);
}

TEST(WorkerMessages, RefusesAnInventoryWithAHostileKey) {
  Ref const ref{some_key(), Generation{7}, RefName{}, Digest{}};
  InventoryPage page;
  page.refs.push_back({.ref = ref, .missing_count = 0, .bytes = 0, .verified_ms = {}});
  std::string text = serialize_inventory(page);
  EXPECT_TRUE(parse_inventory(text).has_value());
  text.replace(text.find("run1"), 4, "..");
  EXPECT_EQ(parse_inventory(text).error().kind, ErrorKind::invalid);
}

TEST(WorkerMessages, AnAddressSurvivesTheWay) {
  auto const address = some_address();
  auto const parsed = parse_address(serialize_address(address)).value();
  EXPECT_EQ(parsed.rank, address.rank);
  EXPECT_EQ(parsed.id, address.id);
  EXPECT_EQ(parsed.endpoint, address.endpoint);
}

TEST(WorkerMessages, AnAddressMayLeaveItsIdOpenButNotMisspellIt) {
  auto address = some_address();
  address.id.clear();
  EXPECT_TRUE(parse_address(serialize_address(address)).has_value());
  address.id = "xyz";
  EXPECT_EQ(parse_address(serialize_address(address)).error().kind, ErrorKind::invalid);
}

TEST(WorkerMessages, RefusesAPortThatIsNone) {
  EXPECT_TRUE(parse_address(R"({"rank":1,"id":"","host":"h","port":65535})").has_value());
  EXPECT_FALSE(parse_address(R"({"rank":1,"id":"","host":"h","port":65536})").has_value());
  EXPECT_FALSE(parse_address(R"({"rank":1,"id":"","host":"h","port":"80"})").has_value());
}

TEST(WorkerMessages, TakesAsManyDigestsAsACallMayCarryAndNoMore) {
  auto const most = some_digests(limits::digests_per_call_max);
  EXPECT_EQ(parse_digests("chunks", serialize_digests("chunks", most)).value(), most);
  EXPECT_LT(serialize_digests("chunks", most).size(), limits::json_body_bytes_max);
  auto const more = some_digests(limits::digests_per_call_max + 1);
  EXPECT_EQ(parse_digests("chunks", serialize_digests("chunks", more)).error().kind,
            ErrorKind::invalid);
}

TEST(WorkerMessages, RefusesWhatIsNoListOfDigests) {
  EXPECT_FALSE(parse_digests("chunks", R"({"chunks":["abc"]})").has_value());
  EXPECT_FALSE(parse_digests("chunks", R"({"chunks":[1]})").has_value());
  EXPECT_FALSE(parse_digests("chunks", R"({"chunks":{}})").has_value());
  EXPECT_FALSE(parse_digests("chunks", R"({"other":[]})").has_value());
  EXPECT_TRUE(parse_digests("chunks", R"({"chunks":[]})").has_value());
}

TEST(WorkerMessages, SurvivesDeepNesting) {
  std::string const deep(limits::json_body_bytes_max, '[');
  EXPECT_FALSE(parse_digests("chunks", deep).has_value());
  std::string closed = R"({"from":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_FALSE(parse_pull(closed).has_value());
}

TEST(WorkerMessages, APullSurvivesTheWay) {
  auto const wanted = wanted_whole(some_digests(2));
  auto const text = serialize_pull(some_address(), wanted);
  EXPECT_EQ(text.find("bases"), std::string::npos);
  auto const parsed = parse_pull(text).value();
  EXPECT_EQ(parsed.from.endpoint, some_address().endpoint);
  EXPECT_EQ(parsed.chunks, wanted);
}

TEST(WorkerMessages, APullsBasesSurviveTheWay) {
  auto wanted = wanted_whole(some_digests(3));
  wanted[1].base = sha256("base");
  EXPECT_EQ(parse_pull(serialize_pull(some_address(), wanted)).value().chunks, wanted);
}

TEST(WorkerMessages, APullOfAsManyChunksAsMayBeFitsIntoABody) {
  auto wanted = wanted_whole(some_digests(limits::digests_per_call_max));
  for (auto& chunk : wanted) chunk.base = chunk.digest;
  auto const text = serialize_pull(some_address(), wanted);
  EXPECT_LE(text.size(), limits::json_body_bytes_max);
  EXPECT_EQ(parse_pull(text).value().chunks, wanted);
}

TEST(WorkerMessages, RefusesBasesThatDoNotFitTheirChunks) {
  auto const with_bases = [](std::string const& bases) {
    auto const wanted = wanted_whole(some_digests(2));
    auto text = serialize_pull(some_address(), wanted);
    text.pop_back();
    return parse_pull(text + ",\"bases\":" + bases + "}");
  };
  EXPECT_TRUE(with_bases("[null,null]").has_value());
  for (auto const* bases :
       {"null", "{}", "[]", "[null]", "[null,null,null]", "[null,1]", "[null,\"abc\"]", "\"ab\""}) {
    EXPECT_EQ(with_bases(bases).error().kind, ErrorKind::invalid) << bases;
  }
}

TEST(WorkerMessages, OutcomesSurviveTheWay) {
  PullOutcome outcome{.chunk = sha256("x"), .error = {}};
  EXPECT_FALSE(parse_outcome(serialize_outcome(outcome)).value().error.has_value());
  outcome.error = Error{ErrorKind::corrupt, "chunk x: damaged"};
  EXPECT_EQ(parse_outcome(serialize_outcome(outcome)).value().error, outcome.error);
}

TEST(WorkerMessages, AFailedCallIsNoOutcome) {
  Error const error{ErrorKind::exhausted, "disk full"};
  EXPECT_EQ(parse_outcome(serialize_failure(error)).error(), error);
  EXPECT_EQ(parse_failure(serialize_failure(error)), error);
  EXPECT_FALSE(parse_failure(R"({"synced":true})").has_value());
}

TEST(WorkerMessages, BytesThatAreNotUtf8DoNotStopAnError) {
  Error const error{ErrorKind::invalid, "key \xff: bad"};
  EXPECT_EQ(parse_failure(serialize_failure(error))->kind, ErrorKind::invalid);
}

TEST(WorkerMessages, GroundsOfADeletionSurviveTheWay) {
  std::vector<DeletionWitness> witnesses{{.address = some_address()}};
  auto const same = parse_deletion(serialize_deletion(witnesses, std::nullopt)).value();
  EXPECT_EQ(same.witnesses.at(0).address.id, some_id);
  EXPECT_FALSE(same.newer);
  witnesses.front().holds = {RefName{}, RefName{ShardIndex{3}}};
  auto const newer = parse_deletion(serialize_deletion(witnesses, Generation{9})).value();
  EXPECT_EQ(newer.newer, Generation{9});
  EXPECT_EQ(newer.witnesses.at(0).holds, witnesses.front().holds);
  EXPECT_TRUE(parse_deletion(R"({"witnesses":[]})").value().witnesses.empty());
}

TEST(WorkerMessages, RefuseGroundsThatAreNone) {
  auto const with = [](std::string_view holds, std::string_view newer) {
    auto const address = serialize_address(some_address());
    return fmt::format(R"({{"witnesses":[{}{}}}]{}}})", address.substr(0, address.size() - 1),
                       holds, newer);
  };
  EXPECT_TRUE(parse_deletion(with(R"(,"holds":["manifest","0"])", R"(,"newer":9)")).has_value());
  EXPECT_TRUE(parse_deletion(with("", "")).has_value());
  for (auto const& [holds, newer] :
       std::vector<std::pair<std::string, std::string>>{{"", R"(,"newer":9)"},
                                                        {R"(,"holds":[])", R"(,"newer":9)"},
                                                        {R"(,"holds":["0"])", ""},
                                                        {R"(,"holds":["0","0"])", R"(,"newer":9)"},
                                                        {R"(,"holds":["shard"])", R"(,"newer":9)"},
                                                        {R"(,"holds":[0])", R"(,"newer":9)"},
                                                        {R"(,"holds":["0"])", R"(,"newer":-9)"}}) {
    EXPECT_FALSE(parse_deletion(with(holds, newer)).has_value()) << holds << newer;
  }
  EXPECT_FALSE(parse_deletion(R"({"witnesses":[1]})").has_value());
}

TEST(WorkerMessages, TombstonesSurviveTheWay) {
  Tombstone const tombstone{
      .key = some_key(), .up_to = Generation{9}, .file_bytes = 1, .mtime_ns = INT64_MIN};
  EXPECT_EQ(parse_tombstone_body(some_key(), serialize_tombstone_body(tombstone)).value(),
            tombstone);
  auto with_singles = tombstone;
  with_singles.singles = {Generation{std::uint64_t{1} << 61}, Generation{std::uint64_t{1} << 62}};
  EXPECT_EQ(parse_tombstone_body(some_key(), serialize_tombstone_body(with_singles)).value(),
            with_singles);
  for (auto const* singles : {"1", "[\"5\"]", "[5,4]", "[1]", "[-5]"}) {
    auto const body =
        fmt::format(R"({{"up_to":1,"file_bytes":1,"mtime_ns":1,"singles":{}}})", singles);
    EXPECT_FALSE(parse_tombstone_body(some_key(), body).has_value()) << singles;
  }
  EXPECT_FALSE(
      parse_tombstone_body(some_key(), R"({"up_to":1,"file_bytes":1,"mtime_ns":1.5})").has_value());
}

TEST(WorkerMessages, AnErrorReplyKeepsItsKindAndSentence) {
  auto const error = parse_error_reply(507, R"({"detail":"disk full","kind":"exhausted"})");
  EXPECT_EQ(error, (Error{ErrorKind::exhausted, "disk full"}));
}

TEST(WorkerMessages, AReplyOfAStrangerIsRetriedOnlyWhereAProxyMayRecover) {
  EXPECT_EQ(parse_error_reply(503, "<html>").kind, ErrorKind::unavailable);
  EXPECT_EQ(parse_error_reply(404, "<html>").kind, ErrorKind::internal);
}

}  // namespace
}  // namespace grove
