#include "watcher/rounds.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"

namespace grove {
namespace {

std::map<std::string, FileVersion> files_of(std::size_t count, std::size_t name_bytes) {
  std::map<std::string, FileVersion> files;
  for (std::size_t index = 0; index < count; ++index) {
    files[fmt::format("{:0>{}}", index, name_bytes)] = {
        .inode = index, .size = 10, .mtime_ns = static_cast<std::int64_t>(index)};
  }
  return files;
}

TEST(ExpectedList, NamesTheNewestFirst) {
  auto const list = nlohmann::json::parse(expected_list(files_of(3, 1)));
  EXPECT_EQ(list["count"], 3);
  EXPECT_EQ(list["bytes"], 30);
  EXPECT_EQ(list["listed"], 3);
  EXPECT_EQ(list["checkpoints"][0]["identity"], "2");
  EXPECT_EQ(list["checkpoints"][2]["mtime_ns"], 0);
}

TEST(ExpectedList, IsBoundedAndSaysHowManyThereAre) {
  auto const text = expected_list(files_of(20'000, 200));
  EXPECT_LE(text.size(), limits::json_body_bytes_max);
  EXPECT_GT(text.size(), limits::json_body_bytes_max * 9 / 10);
  auto const list = nlohmann::json::parse(text);
  EXPECT_EQ(list["count"], 20'000);
  EXPECT_EQ(list["listed"], list["checkpoints"].size());
  EXPECT_LT(list["listed"], 20'000);
}

}  // namespace
}  // namespace grove
