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
  return R"({"generation":7,"state":"complete","bytes":100,"mtime_ns":5,"verdict":")" + safety +
         R"(: so it is","safety":")" + safety + R"("})";
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

TEST(Safety, WhatIsLostOrForgottenIsWaitedForNoLonger) {
  EXPECT_TRUE(safety_of(document("[" + generation("lost") + "]", same_file)).is_final);
  auto const forgotten =
      safety_of(document("[" + generation("safe") + "]", same_file, R"([{"up_to":7}])"));
  EXPECT_TRUE(forgotten.is_final);
  EXPECT_FALSE(forgotten.is_safe);
}

TEST(Safety, WhatWasNeverStoredIsNotSafe) {
  auto const nothing = safety_of(json::parse(R"({"checkpoints":[],"tombstones":[],"file":null})"));
  EXPECT_FALSE(nothing.is_safe);
  EXPECT_EQ(nothing.words, "not stored yet");
}

}  // namespace
}  // namespace grove
