#include "cli/checkpoint_safety.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

using nlohmann::json;

json document(std::string const& generations, std::string const& file,
              std::string const& tombstones = "[]") {
  return json::parse(R"({"checkpoints":[{"identity":"a.bin","generations":)" + generations +
                     R"(}],"tombstones":)" + tombstones + R"(,"file":)" + file + "}");
}

std::string generation(std::string const& safety) {
  return R"({"generation":7,"state":"complete","bytes":100,"mtime_ns":5,"sha256":"abc","verdict":")" +
         safety + R"(: so it is","safety":")" + safety + R"("})";
}

std::string const same_file = R"({"bytes":100,"mtime_ns":5})";

TEST(Safety, IsThatOfTheNewestCompleteGeneration) {
  auto const safe = safety_of(document("[" + generation("safe") + "]", same_file));
  EXPECT_TRUE(safe.is_safe);
  EXPECT_EQ(safe.words, "safe: so it is");
  EXPECT_TRUE(
      safety_of(document(R"([{"generation":8,"state":"unfinished"},)" + generation("safe") + "]",
                         same_file))
          .is_safe);
  EXPECT_FALSE(safety_of(document("[" + generation("healing") + "]", same_file)).is_safe);
}

TEST(Safety, AFileThatIsGoneIsAsSafeAsItsCopies) {
  EXPECT_TRUE(safety_of(document("[" + generation("safe") + "]", "null")).is_safe);
}

TEST(Safety, AFileThatWasWrittenSinceIsNotSafe) {
  for (auto const* file : {R"({"bytes":101,"mtime_ns":5})", R"({"bytes":100,"mtime_ns":6})"}) {
    auto const changed = safety_of(document("[" + generation("safe") + "]", file));
    EXPECT_FALSE(changed.is_safe);
    EXPECT_FALSE(changed.is_final);
    EXPECT_EQ(changed.words,
              "not stored as the file is now; what was stored before is safe: so it is");
  }
}

TEST(Safety, AFileThatWasOnlyTouchedIsAsSafeAsItsContent) {
  auto const with_digest = [](std::string const& digest) {
    return safety_of(document("[" + generation("safe") + "]",
                              R"({"bytes":100,"mtime_ns":6,"sha256":)" + digest + "}"));
  };
  EXPECT_TRUE(with_digest(R"("abc")").is_safe);
  EXPECT_FALSE(with_digest(R"("abd")").is_safe);
  EXPECT_FALSE(with_digest(R"("abd")").is_pending);
  auto const pending = with_digest("null");
  EXPECT_FALSE(pending.is_safe);
  EXPECT_TRUE(pending.is_pending);
}

TEST(Safety, WhatIsLostOrForgottenIsWaitedForNoLonger) {
  EXPECT_TRUE(safety_of(document("[" + generation("lost") + "]", same_file)).is_final);
  auto const* const tombstone = R"([{"up_to":7,"bytes":100,"mtime_ns":5}])";
  for (auto const& file : {same_file, std::string("null")}) {
    auto const forgotten = safety_of(document("[]", file, tombstone));
    EXPECT_TRUE(forgotten.is_final);
    EXPECT_FALSE(forgotten.is_safe);
    EXPECT_EQ(forgotten.words, "not stored: it was forgotten on purpose");
  }
  // When it was forgotten nobody knew which file it was of.
  EXPECT_TRUE(
      safety_of(document("[]", same_file, R"([{"up_to":7,"bytes":0,"mtime_ns":0}])")).is_final);
}

TEST(Safety, WhatFollowsSomethingForgottenIsWaitedFor) {
  auto const* const tombstone = R"([{"up_to":7,"bytes":100,"mtime_ns":5}])";
  // Another file by now, which the watcher will store.
  EXPECT_FALSE(safety_of(document("[]", R"({"bytes":100,"mtime_ns":9})", tombstone)).is_final);
  EXPECT_FALSE(
      safety_of(document(R"([{"generation":8,"state":"unfinished"}])", same_file, tombstone))
          .is_final);
  EXPECT_TRUE(safety_of(document("[" + generation("safe") + "]", same_file, tombstone)).is_safe);
}

TEST(Safety, WhatWasNeverStoredIsNotSafe) {
  auto const of = [](std::string const& alive, std::string const& file) {
    return safety_of(json::parse(R"({"checkpoints":[],"tombstones":[],"workers":4,)"
                                 R"("workers_alive":)" +
                                 alive + R"(,"file":)" + file + "}"));
  };
  EXPECT_FALSE(of("4", same_file).is_safe);
  EXPECT_FALSE(of("4", same_file).is_final);
  EXPECT_EQ(of("4", same_file).words, "not stored yet");
  auto const mistyped = of("3", "null");
  EXPECT_FALSE(mistyped.is_safe);
  EXPECT_TRUE(mistyped.is_final);
  EXPECT_EQ(mistyped.words,
            "neither stored, on 3 of 4 workers that answer, nor is there such a file");
  EXPECT_FALSE(of("0", "null").is_final);  // nobody could say
}

TEST(Safety, WhatCannotBeComparedIsWhatItsVerdictSays) {
  auto const* const unread = R"([{"generation":7,"state":"complete","bytes":null,
      "verdict":"out of reach: its manifest cannot be read now","safety":"out_of_reach"}])";
  auto const found = safety_of(document(unread, same_file));
  EXPECT_FALSE(found.is_safe);
  EXPECT_FALSE(found.is_final);
  EXPECT_EQ(found.words, "out of reach: its manifest cannot be read now");
}

}  // namespace
}  // namespace grove
