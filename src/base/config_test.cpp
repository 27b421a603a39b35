#include "base/config.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/config_file.h"
#include "base/limits.h"
#include "base/test_folder.h"

namespace grove {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::string_view minimal = R"(ckpt_root: /data/checkpoints
num_workers: 2
devices_config:
  workers:
    - {host: a, ip: 10.0.0.1, rank: 1, port: 5001}
    - {host: b, ip: 10.0.0.2, rank: 2, port: 5001}
)";

Config parsed(std::string_view more = "") {
  auto config = parse_config(std::string(minimal) + std::string(more), "c.yaml");
  EXPECT_TRUE(config) << config.error().message;
  return config ? config.value() : Config();
}

// Sets an environment variable for the length of one test.
class Environment {
 public:
  Environment(char const* name, char const* value) : name_(name) {
    if (char const* const before = ::getenv(name)) before_ = before;
    set(value);
  }
  ~Environment() { set(before_ ? before_->c_str() : nullptr); }
  Environment(Environment const&) = delete;
  Environment& operator=(Environment const&) = delete;

 private:
  void set(char const* value) {
    GROVE_ASSERT((value != nullptr ? ::setenv(name_, value, 1) : ::unsetenv(name_)) == 0);
  }

  char const* name_;
  std::optional<std::string> before_;
};

TEST(Config, ReadsTheExampleThatComesWithIt) {
  Environment const home("HOME", "/home/user");
  auto const loaded = load_config(GROVE_SOURCE_DIR "/configs/config.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  Config const& config = loaded.value();
  EXPECT_EQ(config.source, GROVE_SOURCE_DIR "/configs/config.yaml");
  EXPECT_EQ(config.ckpt_root, "/home/user/smolcluster/checkpoints");
  EXPECT_EQ(config.shards_root, "/home/user/smolcluster/shards");
  EXPECT_EQ(config.n_chunks, 4U);
  ASSERT_EQ(config.masters.size(), 1U);
  EXPECT_EQ(config.masters[0].host, "localhost");
  EXPECT_EQ(config.masters[0].ip, "127.0.0.1");
  EXPECT_EQ(config.masters[0].rank.value, 0U);
  EXPECT_EQ(config.masters[0].port, 5000);
  ASSERT_EQ(config.workers.size(), 4U);
  std::string_view const ips[] = {"192.168.1.7", "192.168.1.5", "192.168.1.3", "192.168.1.6"};
  for (std::uint32_t index = 0; index < 4; ++index) {
    EXPECT_EQ(config.workers[index].host, "pi4-" + std::to_string(index + 1));
    EXPECT_EQ(config.workers[index].ip, ips[index]);
    EXPECT_EQ(config.workers[index].rank.value, index + 1);
    EXPECT_EQ(config.workers[index].port, 5001 + index);
  }
  EXPECT_TRUE(config.notices.empty());
}

TEST(Config, HasTheDocumentedDefaults) {
  Config const config = parsed();
  EXPECT_EQ(config.n_chunks, 2U);
  EXPECT_TRUE(config.masters.empty());
  EXPECT_EQ(config.redundancy, 2U);
  EXPECT_TRUE(config.keep_shards);
  EXPECT_EQ(config.shards_root, "/data/shards");
  EXPECT_EQ(config.api_host, "127.0.0.1");
  EXPECT_EQ(config.api_port, 8000);
  EXPECT_TRUE(config.api_hosts.empty());
  EXPECT_EQ(config.compression, Switch::automatic);
  EXPECT_EQ(config.delta, Switch::automatic);
  EXPECT_TRUE(config.stand_ins);
  EXPECT_EQ(config.repair_after, 10min);
  EXPECT_EQ(config.scrub_every, 7 * 24h);
  EXPECT_EQ(config.generations, 1U);
  EXPECT_FALSE(config.retention.keep_last || config.retention.keep_every);
  EXPECT_FALSE(config.bandwidth_limit_mb_per_s || config.reserve_share || config.reserve_bytes);
}

TEST(Config, ReadsEveryKeyOfOurs) {
  Config const config = parsed(R"(
n_chunks: 7
redundancy: 1
keep_shards: false
shards_root: /elsewhere/shards/
api: {host: 0.0.0.0, port: 8001, hosts: [pi4-1.local, "10.0.0.9"]}
compression: on
delta: off
stand_ins: no
repair_after: 500ms
scrub_every: 1.5 h
generations: 3
retention: {keep_last: 5, keep_every: 1000}
bandwidth_limit: 12.5
reserve: 2 GiB
nice: 19
ionice: low
)");
  EXPECT_EQ(config.n_chunks, 7U);
  EXPECT_EQ(config.redundancy, 1U);
  EXPECT_FALSE(config.keep_shards);
  EXPECT_EQ(config.shards_root, "/elsewhere/shards");
  EXPECT_EQ(config.api_host, "0.0.0.0");
  EXPECT_EQ(config.api_port, 8001);
  EXPECT_EQ(config.api_hosts, (std::vector<std::string>{"pi4-1.local", "10.0.0.9"}));
  EXPECT_EQ(config.compression, Switch::on);
  EXPECT_EQ(config.delta, Switch::off);
  EXPECT_FALSE(config.stand_ins);
  EXPECT_EQ(config.repair_after, 500ms);
  EXPECT_EQ(config.scrub_every, 90min);
  EXPECT_EQ(config.generations, 3U);
  EXPECT_EQ(config.retention.keep_last, 5U);
  EXPECT_EQ(config.retention.keep_every, 1000U);
  EXPECT_EQ(config.bandwidth_limit_mb_per_s, 12.5);
  EXPECT_EQ(config.reserve_bytes, 2 * limits::gib);
  EXPECT_EQ(config.priority.nice, 19);
  EXPECT_EQ(config.priority.io, IoPriority::low);
}

TEST(Config, IgnoresOldKeysWithANotice) {
  Config const config = parsed("data_path: /x\nsave_path: {any: thing}\n");
  EXPECT_EQ(config.notices,
            (std::vector<std::string>{"c.yaml:7: data_path is no longer used; the line can go",
                                      "c.yaml:8: save_path is no longer used; the line can go"}));
}

TEST(Config, TellsAMissingFileFromABadOneAndAHugeOne) {
  TestFolder const folder;
  EXPECT_EQ(load_config(folder / "none.yaml").error().kind, ErrorKind::not_found);
  EXPECT_EQ(load_config(folder.path()).error().kind, ErrorKind::invalid);
  std::string text(minimal);
  text += "#" + std::string(limits::config_bytes_max - text.size() - 1, ' ');
  folder.write("most.yaml", text);
  EXPECT_TRUE(load_config(folder / "most.yaml"));
  folder.write("more.yaml", text + " ");
  EXPECT_EQ(load_config(folder / "more.yaml").error().kind, ErrorKind::exhausted);
  EXPECT_EQ(parse_config(text + " ", "c.yaml").error().kind, ErrorKind::invalid);
}

TEST(Config, IsNotHeldUpByAliasesOfAliases) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int depth = 1; depth < 200; ++depth) {
    bomb += fmt::format("a{0}: &a{0} [", depth);
    for (int i = 0; i < 10; ++i) bomb += fmt::format("*a{},", depth - 1);
    bomb += "]\n";
  }
  EXPECT_EQ(parse_config(bomb + std::string(minimal), "c.yaml").error().kind, ErrorKind::invalid);
  // A list that is an entry of itself.
  EXPECT_EQ(parse_config(std::string(minimal) + "api: {hosts: &h [*h]}", "c.yaml").error().kind,
            ErrorKind::invalid);
}

TEST(Config, RefusesBottomlessNesting) {
  for (std::string_view const opening : {"[", "{a: ", "- ", "? "}) {
    std::string deep = "ckpt_root: ";
    if (opening == "- " || opening == "? ") deep.clear();
    for (int depth = 0; depth < 20'000; ++depth) deep += opening;
    EXPECT_EQ(parse_config(deep, "c.yaml").error().kind, ErrorKind::invalid) << opening;
  }
  EXPECT_EQ(parse_config(std::string(20'000, '['), "c.yaml").error().message,
            "c.yaml:1: not YAML: nested too deep");
}

TEST(FindConfig, PrefersWhatItWasTold) {
  TestFolder const folder;
  folder.write("told.yaml", "");
  folder.write("environment.yaml", "");
  Environment const variable("GROVE_CONFIG", (folder / "environment.yaml").c_str());
  EXPECT_EQ(find_config(folder / "told.yaml").value(), folder / "told.yaml");
  EXPECT_EQ(find_config(std::nullopt).value(), folder / "environment.yaml");
}

TEST(FindConfig, NeverPassesOverAPlaceItWasTold) {
  TestFolder const folder;
  folder.write("environment.yaml", "");
  Environment const variable("GROVE_CONFIG", (folder / "environment.yaml").c_str());
  auto const found = find_config(folder / "told.yaml");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), (Error{ErrorKind::not_found,
                                  "no config file: tried " + (folder / "told.yaml").native() +
                                      " (--config); write one or name it with --config"}));
}

TEST(FindConfig, LooksInTheWorkingFolderThenAtHome) {
  TestFolder const folder;
  Environment const variable("GROVE_CONFIG", nullptr);
  Environment const home("HOME", (folder / "home").c_str());
  fs::path const before = fs::current_path();
  fs::current_path(folder.path());
  auto const nowhere = find_config(std::nullopt);
  folder.write("home/.config/grove/config.yaml", "");
  auto const at_home = find_config(std::nullopt);
  folder.write("configs/config.yaml", "");
  auto const here = find_config(std::nullopt);
  fs::current_path(before);

  EXPECT_EQ(here.value(), "configs/config.yaml");
  EXPECT_EQ(at_home.value(), folder / "home/.config/grove/config.yaml");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().message, "no config file: tried configs/config.yaml, " +
                                         (folder / "home/.config/grove/config.yaml").native() +
                                         "; write one or name it with --config");
}

TEST(ReservedBytes, IsTheLesserOfFivePercentAndOneGibibyteByDefault) {
  Config config;
  EXPECT_EQ(reserved_bytes(config, 10 * limits::gib), limits::gib / 2);
  EXPECT_EQ(reserved_bytes(config, 100 * limits::gib), limits::gib);
  config.reserve_share = 0.05;
  EXPECT_EQ(reserved_bytes(config, 100 * limits::gib), 5 * limits::gib);
  config.reserve_bytes = 7;
  EXPECT_EQ(reserved_bytes(config, 100 * limits::gib), 7U);
}

TEST(ReservedBytes, UnderstandsSharesAndSizes) {
  EXPECT_EQ(parsed("reserve: 5 %").reserve_share, 0.05);
  EXPECT_EQ(parsed("reserve: 5%").reserve_share, 0.05);
  EXPECT_EQ(parsed("reserve: 0").reserve_bytes, 0U);
  EXPECT_EQ(parsed("reserve: 500 MB").reserve_bytes, 500'000'000U);
  EXPECT_EQ(parsed("reserve: 1.5GiB").reserve_bytes, limits::gib * 3 / 2);
}

TEST(Period, IsANumberAndAUnit) {
  EXPECT_EQ(parse_period("500ms").value(), 500ms);
  EXPECT_EQ(parse_period("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_period("10m").value(), 10min);
  EXPECT_EQ(parse_period("2 h").value(), 2h);
  EXPECT_EQ(parse_period("7d").value(), 7 * 24h);
  EXPECT_EQ(parse_period("1ms").value(), 1ms);
  EXPECT_EQ(parse_period("36500d").value(), 36500 * 24h);
}

TEST(Period, RefusesAllElse) {
  for (std::string_view const bad :
       {"", "10", "m", "10 min", "10M", "-1s", "0s", "0.4ms", "1e3s", "inf s", "nans", "36501d",
        "1s ", " 1s", "1s1s", "99999999999999999999999999999999d"}) {
    auto const period = parse_period(bad);
    ASSERT_FALSE(period) << bad;
    EXPECT_EQ(period.error().kind, ErrorKind::invalid);
  }
  EXPECT_EQ(parse_period("10").error().message,
            "a period is a number and ms, s, m, h or d, such as 10m, of 1ms to 36500d, not \"10\"");
}

}  // namespace
}  // namespace grove
