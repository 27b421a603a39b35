#include "base/config_text.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

DeviceConfig device(std::uint32_t rank, std::string ip) {
  return {.host = "pi4-" + std::to_string(rank),
          .ip = std::move(ip),
          .rank = Rank{rank},
          .port = static_cast<std::uint16_t>(5000 + rank)};
}

std::string changed(std::string const& yaml, std::vector<DeviceConfig> const& workers) {
  auto const result = change_workers(yaml, workers, "config.yaml");
  EXPECT_TRUE(result.has_value()) << result.error().message;
  if (result.has_error()) return {};
  auto const config = parse_config(result.value().text, "config.yaml");
  EXPECT_TRUE(config.has_value()) << config.error().message;
  EXPECT_TRUE(result.value().keeps_comments);
  return result.value().text;
}

constexpr char const* commented = R"(# Our rack.
ckpt_root: /data/checkpoints   # the NAS
n_chunks: 2
num_workers: 2        # count them

devices_config:
  master:
    - {host: localhost, ip: 127.0.0.1, rank: 0, port: 5000}
  workers:
    # the old one
    - host: pi4-1      # top shelf
      ip: 192.168.1.7
      rank: 1
      port: 5001
    # the new one
    - rank: 2
      port: 5002   # behind the switch
      host: "pi4-2"
      ip: '192.168.1.5'
generations: 3
# the end
)";

TEST(ChangeWorkers, LeavesAFileAloneThatSaysItAlready) {
  EXPECT_EQ(changed(commented, {device(1, "192.168.1.7"), device(2, "192.168.1.5")}), commented);
}

TEST(ChangeWorkers, ChangesAnAddressAndNothingElse) {
  std::string expected = commented;
  expected.replace(expected.find("'192.168.1.5'"), 13, "192.168.1.99");
  EXPECT_EQ(changed(commented, {device(1, "192.168.1.7"), device(2, "192.168.1.99")}), expected);
}

TEST(ChangeWorkers, AddsAtTheEndAndCounts) {
  std::string expected = commented;
  expected.replace(expected.find("n_chunks: 2"), 11, "n_chunks: 3");
  expected.replace(expected.find("num_workers: 2"), 14, "num_workers: 3");
  expected.insert(expected.find("generations"),
                  "    - host: pi4-3\n      ip: 192.168.1.3\n      rank: 3\n      port: 5003\n");
  EXPECT_EQ(changed(commented,
                    {device(3, "192.168.1.3"), device(2, "192.168.1.5"), device(1, "192.168.1.7")}),
            expected);
}

TEST(ChangeWorkers, TakesOneOutWithTheCommentAboveIt) {
  std::string expected = commented;
  expected.replace(expected.find("n_chunks: 2"), 11, "n_chunks: 1");
  expected.replace(expected.find("num_workers: 2"), 14, "num_workers: 1");
  expected.insert(expected.find("devices"), "redundancy: 1\n\n");
  auto const begin = expected.find("    # the new one");
  expected.erase(begin, expected.find("generations") - begin);
  std::string with_redundancy = commented;
  with_redundancy.insert(with_redundancy.find("devices"), "redundancy: 2\n\n");
  EXPECT_EQ(changed(with_redundancy, {device(1, "192.168.1.7")}), expected);
}

TEST(ChangeWorkers, KeepsANumberOfShardsThatWasChosen) {
  std::string yaml = commented;
  yaml.replace(yaml.find("n_chunks: 2"), 11, "n_chunks: 8");
  auto const text =
      changed(yaml, {device(1, "192.168.1.7"), device(2, "192.168.1.5"), device(3, "192.168.1.3")});
  EXPECT_NE(text.find("n_chunks: 8\n"), text.npos);
  EXPECT_NE(text.find("num_workers: 3  "), text.npos);
}

TEST(ChangeWorkers, WritesAFileInBracketsAnewWithAllItsKeys) {
  std::string const yaml =
      R"({"ckpt_root": "/data", "num_workers": 2, "generations": 3, "api": {"port": 8001},
  "devices_config": {"workers": [{"host": "a", "ip": "10.0.0.1", "rank": 1, "port": 5001},
  {"host": "b", "ip": "10.0.0.2", "rank": 2, "port": 5002}]}})";
  auto const result =
      change_workers(yaml, std::vector{device(2, "10.0.0.2"), device(7, "::1")}, "x");
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_FALSE(result.value().keeps_comments);
  auto const config = parse_config(result.value().text, "x").value();
  EXPECT_EQ(config.generations, 3u);
  EXPECT_EQ(config.api_port, 8001);
  ASSERT_EQ(config.workers.size(), 2u);
  EXPECT_EQ(config.workers[0].host, "pi4-2");
  EXPECT_EQ(config.workers[1].ip, "::1");
}

TEST(ChangeWorkers, RefusesAFileThatIsNoConfig) {
  auto const result = change_workers("ckpt_root: [", std::vector{device(1, "10.0.0.1")}, "x.yaml");
  ASSERT_TRUE(result.has_error());
  EXPECT_EQ(result.error().kind, ErrorKind::invalid);
}

TEST(ChangeWorkers, RefusesTooFewWorkersForTheCopies) {
  auto const result = change_workers(commented, std::vector{device(1, "10.0.0.1")}, "x.yaml");
  ASSERT_TRUE(result.has_error());
  EXPECT_NE(result.error().message.find("asks for 2 copies"), std::string::npos);
}

TEST(WriteConfig, IsReadBackAsItWasMeant) {
  std::vector<DeviceConfig> const workers{device(1, "192.168.1.7"), device(2, "fe80::1%eth0")};
  NewConfig const made{.comment = "Made by grove.",
                       .ckpt_root = "/home/a b/\"checkpoints\"",
                       .shards_root = "/srv/shards",
                       .master = {.host = "no", .ip = "10.0.0.1", .rank = Rank{0}, .port = 5000},
                       .workers = workers};
  auto const config = parse_config(write_config(made), "config.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config.value().ckpt_root, made.ckpt_root);
  EXPECT_EQ(config.value().shards_root, "/srv/shards");
  EXPECT_EQ(config.value().masters.front().host, "no");
  EXPECT_EQ(config.value().workers[1].ip, "fe80::1%eth0");
  EXPECT_EQ(config.value().n_chunks, 2u);
}

}  // namespace
}  // namespace grove
