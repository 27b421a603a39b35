#include "coordinator/drill_result.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/test_folder.h"

namespace grove {
namespace {

DrillResult a_result() {
  return {.ended_ms = 1'700'000'000'123,
          .identity = "run1/step_1/model.safetensors",
          .generation = {7},
          .bytes = 1000,
          .time = std::chrono::duration<double>(1.5),
          .is_exact = false,
          .detail = "1/4 shards failed"};
}

TEST(DrillResult, IsReadBackAsItWasKept) {
  TestFolder const folder;
  EXPECT_EQ(read_drill_result(folder / "drill.json").value(), std::nullopt);
  ASSERT_TRUE(keep_drill_result(folder / "drill.json", a_result()).has_value());
  EXPECT_EQ(read_drill_result(folder / "drill.json").value(), a_result());
  auto newer = a_result();
  newer.is_exact = true;
  ASSERT_TRUE(keep_drill_result(folder / "drill.json", newer).has_value());
  EXPECT_EQ(read_drill_result(folder / "drill.json").value(), newer);
}

TEST(DrillResult, OfNoneIsNull) {
  EXPECT_EQ(serialize(std::nullopt), R"({"drill":null})");
  EXPECT_EQ(parse_drill_result(R"({"drill":null})").value(), std::nullopt);
}

TEST(DrillResult, OfADamagedFileIsNotTaken) {
  TestFolder const folder;
  auto const whole = serialize(a_result());
  for (auto const& text :
       {std::string(), whole.substr(0, whole.size() / 2), std::string("[]"), std::string("{}"),
        std::string(R"({"drill":7})"), std::string(R"({"drill":{"ok":true}})")}) {
    folder.write("drill.json", text);
    EXPECT_EQ(read_drill_result(folder / "drill.json").error().kind, ErrorKind::invalid) << text;
  }
  folder.write("drill.json", std::string(limits::drill_result_bytes_max + 1, ' '));
  EXPECT_TRUE(read_drill_result(folder / "drill.json").has_error());
}

}  // namespace
}  // namespace grove
