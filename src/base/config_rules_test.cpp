// Each rule of config.yaml, with a text that it accepts and the nearest one that it refuses.
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/config.h"
#include "base/limits.h"

namespace grove {
namespace {

// Line numbers in the messages below count from here.
constexpr std::string_view base_text = R"(ckpt_root: /data/ckpt
n_chunks: 4
num_workers: 2
devices_config:
  master:
    - {host: m, ip: 10.0.0.9, rank: 0, port: 5000}
  workers:
    - host: a
      ip: 10.0.0.1
      rank: 1
      port: 5001
    - host: b
      ip: 10.0.0.2
      rank: 2
      port: 5002
redundancy: 2
)";

struct Rule {
  std::string name;
  std::string replaced;  // this part of base_text …
  std::string accepted;  // … may be this
  std::string refused;   // … but not this
  std::string message;
};

std::ostream& operator<<(std::ostream& out, Rule const& rule) {
  return out << rule.name;
}

std::string with(std::string_view replaced, std::string_view replacement) {
  std::string text(base_text);
  auto const at = text.find(replaced);
  GROVE_ASSERT(at != std::string::npos);
  return text.replace(at, replaced.size(), replacement);
}

class ConfigRule : public testing::TestWithParam<Rule> {};

TEST_P(ConfigRule, AcceptsTheOneAndRefusesTheOther) {
  auto const accepted = parse_config(with(GetParam().replaced, GetParam().accepted), "c.yaml");
  EXPECT_TRUE(accepted) << accepted.error().message;
  auto const refused = parse_config(with(GetParam().replaced, GetParam().refused), "c.yaml");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, GetParam().message);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

std::string const root = "ckpt_root: /data/ckpt";
std::string const tail = "redundancy: 2\n";  // line 16

Rule option(std::string name, std::string accepted, std::string refused, std::string message) {
  return {std::move(name), tail, std::move(accepted), std::move(refused), std::move(message)};
}

std::vector<Rule> const rules{
    // --- keys ---
    {"UnknownKey", "n_chunks", "n_chunks", "n_chunk",
     "c.yaml:2: unknown key \"n_chunk\"; did you mean \"n_chunks\"?"},
    {"UnknownKeyOfAWorker", "port: 5002", "port: 5002", "prot: 5002",
     "c.yaml:15: unknown key \"prot\"; did you mean \"port\"?"},
    {"UnknownKeyOfAMaster", "host: m", "host: m", "name: m",
     "c.yaml:6: unknown key \"name\"; known here are host, ip, rank, port"},
    {"UnknownKeyOfDevices", "master", "master", "masters",
     "c.yaml:5: unknown key \"masters\"; did you mean \"master\"?"},
    option("UnknownKeyOfApi", "api: {hosts: []}", "api: {HOSTSS: []}",
           "c.yaml:16: unknown key \"HOSTSS\"; did you mean \"hosts\"?"),
    option("UnknownKeyOfRetention", "retention: {keep_last: 1}", "retention: {keep_lats: 1}",
           "c.yaml:16: unknown key \"keep_lats\"; did you mean \"keep_last\"?"),
    option("RepeatedKey", "redundancy: 2", "redundancy: 2\nn_chunks: 4",
           "c.yaml:17: n_chunks is given twice; it stands in line 2 already"),
    {"RepeatedKeyOfAWorker", "host: b", "host: b", "port: 1\n      host: b",
     "c.yaml:16: devices_config.workers[1].port is given twice; it stands in line 12 already"},
    option("KeyThatIsNoWord", "redundancy: 2", "? [a, b]\n: 2",
           "c.yaml:16: a key must be a word, not a list"),
    // --- required keys ---
    {"NoRoot", root, root, "", "c.yaml:1: ckpt_root is missing"},
    {"NoNumWorkers", "num_workers: 2", "num_workers: 2", "", "c.yaml:1: num_workers is missing"},
    {"NoHost", "- host: b\n      ip", "- host: b\n      ip", "- ip",
     "c.yaml:12: devices_config.workers[1].host is missing"},
    {"NoIp", "ip: 10.0.0.2", "ip: 10.0.0.2", "",
     "c.yaml:12: devices_config.workers[1].ip is missing"},
    {"NoRank", "rank: 2", "rank: 2", "", "c.yaml:12: devices_config.workers[1].rank is missing"},
    {"NoPort", "port: 5002", "port: 5002", "",
     "c.yaml:12: devices_config.workers[1].port is missing"},
    // --- folders ---
    {"RelativeRoot", root, "ckpt_root: /a", "ckpt_root: a/b",
     "c.yaml:1: ckpt_root must be an absolute path or start with ~/, not \"a/b\""},
    {"OthersHome", root, "ckpt_root: ~/a", "ckpt_root: ~other/a",
     "c.yaml:1: ckpt_root must be an absolute path or start with ~/, not \"~other/a\""},
    {"BareTilde", root, "ckpt_root: '~'", "ckpt_root: ~",
     "c.yaml:1: ckpt_root has no value (a bare ~ is YAML's word for none); give one, in quotes"},
    {"EmptyRoot", root, "ckpt_root: '/a'", "ckpt_root: ''",
     "c.yaml:1: ckpt_root must not be empty"},
    {"RootWithDots", root, "ckpt_root: /a/..b", "ckpt_root: /a/../b",
     "c.yaml:1: ckpt_root must not have \"..\" in it: /a/../b"},
    {"RootOfAll", root, "ckpt_root: /a//", "ckpt_root: //",
     "c.yaml:1: ckpt_root must be a folder below /, not / itself"},
    {"RootThatIsAList", root, "ckpt_root: /a", "ckpt_root: [/a]",
     "c.yaml:1: ckpt_root must be a text, not a list"},
    {"RootWithANewline", root, "ckpt_root: \"/a\\x21\"", "ckpt_root: \"/a\\n\"",
     "c.yaml:1: ckpt_root must not have control characters: \"/a\\x0a\""},
    option("ShardsInsideRoot", "shards_root: /data/ckpt2", "shards_root: /data/ckpt/shards",
           "c.yaml:16: shards_root puts the shards (/data/ckpt/shards) inside ckpt_root "
           "(/data/ckpt); give shards_root a place outside"),
    option("ShardsAtRoot", "shards_root: /data", "shards_root: /data/./ckpt/",
           "c.yaml:16: shards_root puts the shards (/data/ckpt) inside ckpt_root "
           "(/data/ckpt); give shards_root a place outside"),
    option("RelativeShards", "shards_root: /shards", "shards_root: shards",
           "c.yaml:16: shards_root must be an absolute path or start with ~/, not \"shards\""),
    {"RootCalledShards", root, "ckpt_root: /data/shard", "ckpt_root: /data/shards",
     "c.yaml:1: ckpt_root puts the shards (/data/shards) inside ckpt_root (/data/shards); "
     "give shards_root a place outside"},
    // --- counts ---
    {"NoChunks", "n_chunks: 4", "n_chunks: 1", "n_chunks: 0",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"0\""},
    {"TooManyChunks", "n_chunks: 4", "n_chunks: 4096", "n_chunks: 4097",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"4097\""},
    {"ChunksInWords", "n_chunks: 4", "n_chunks: 4", "n_chunks: four",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"four\""},
    {"ChunksInQuotes", "n_chunks: 4", "n_chunks: 4", "n_chunks: \"4\"",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"4\""},
    {"HalfChunks", "n_chunks: 4", "n_chunks: 4", "n_chunks: 4.5",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"4.5\""},
    {"NegativeChunks", "n_chunks: 4", "n_chunks: 4", "n_chunks: -4",
     "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not \"-4\""},
    {"NothingForChunks", "n_chunks: 4", "n_chunks: 4",
     "n_chunks:", "c.yaml:2: n_chunks must be a whole number from 1 to 4096, not nothing"},
    {"OtherNumWorkers", "num_workers: 2", "num_workers: 2", "num_workers: 3",
     "c.yaml:3: num_workers is 3, but devices_config.workers has 2"},
    option("NoRedundancy", "redundancy: 1", "redundancy: 0",
           "c.yaml:16: redundancy must be a whole number from 1 to 1024, not \"0\""),
    option("RedundancyAboveWorkers", "redundancy: 2", "redundancy: 3",
           "c.yaml:16: redundancy asks for 3 copies on different workers, but there are only 2; "
           "add workers or lower redundancy"),
    option("NoGenerations", "generations: 1", "generations: 0",
           "c.yaml:16: generations must be a whole number from 1 to 4294967295, not \"0\""),
    // --- devices ---
    {"WorkerOfRankZero", "rank: 2", "rank: 3", "rank: 0",
     "c.yaml:14: devices_config.workers[1].rank must not be 0, the master's; "
     "workers count from 1"},
    {"RepeatedRank", "rank: 2", "rank: 4294967295", "rank: 1",
     "c.yaml:14: devices_config.workers[1].rank 1 is taken already (c.yaml:10)"},
    {"RankOfTheMaster", "rank: 0", "rank: 0", "rank: 2",
     "c.yaml:14: devices_config.workers[1].rank 2 is taken already (c.yaml:6)"},
    {"RankTooHigh", "rank: 2", "rank: 4294967295", "rank: 4294967296",
     "c.yaml:14: devices_config.workers[1].rank must be a whole number from 0 to 4294967295, "
     "not \"4294967296\""},
    {"RepeatedAddress", "ip: 10.0.0.2\n      rank: 2\n      port: 5002",
     "ip: 10.0.0.1\n      rank: 2\n      port: 5002",
     "ip: 10.0.0.1\n      rank: 2\n      port: 5001",
     "c.yaml:15: devices_config.workers[1].port makes 10.0.0.1:5001, which is taken already "
     "(c.yaml:11)"},
    {"AddressOfTheMaster", "ip: 10.0.0.9", "ip: 10.0.0.2",
     "ip: 10.0.0.2, port: 5002, rank: 0}\n"
     "    - {host: m2, ip: 10.0.0.2",
     "c.yaml:7: devices_config.master[1].rank 0 is taken already (c.yaml:6)"},
    {"PortZero", "port: 5002", "port: 1", "port: 0",
     "c.yaml:15: devices_config.workers[1].port must be a whole number from 1 to 65535, not \"0\""},
    {"PortTooHigh", "port: 5002", "port: 65535", "port: 65536",
     "c.yaml:15: devices_config.workers[1].port must be a whole number from 1 to 65535, "
     "not \"65536\""},
    {"HostWithAnEscape", "host: b", "host: 'b b'", "host: \"b\\e[2J\"",
     "c.yaml:12: devices_config.workers[1].host must not have control characters: "
     "\"b\\x1b[2J\""},
    {"HostTooLong", "host: b", "host: " + std::string(255, 'b'), "host: " + std::string(256, 'b'),
     "c.yaml:12: devices_config.workers[1].host must have at most 255 bytes"},
    {"IpWithAPath", "ip: 10.0.0.2", "ip: fe80::1%eth0", "ip: 10.0.0.2/24",
     "c.yaml:13: devices_config.workers[1].ip must be an address or a name without port or path, "
     "not \"10.0.0.2/24\""},
    {"WorkerThatIsNoMapping", "- {host: m, ip: 10.0.0.9, rank: 0, port: 5000}",
     "- {host: m, ip: 10.0.0.9, rank: 0, port: 5000}", "- m",
     "c.yaml:6: \"devices_config.master[0]\" must be a mapping of keys to values, not \"m\""},
    // --- the rest of ours ---
    option("ApiThatIsNoMapping", "api: {}", "api: 8000",
           "c.yaml:16: \"api\" must be a mapping of keys to values, not \"8000\""),
    option("ApiPortTooHigh", "api: {port: 65535}", "api: {port: 65536}",
           "c.yaml:16: api.port must be a whole number from 1 to 65535, not \"65536\""),
    option("ApiPortZero", "api: {port: 1}", "api: {port: 0}",
           "c.yaml:16: api.port must be a whole number from 1 to 65535, not \"0\""),
    option("ApiHostWithASlash", "api: {host: '::1'}", "api: {host: 'http://x'}",
           "c.yaml:16: api.host must be an address or a name without port or path, "
           "not \"http://x\""),
    option("ApiHostsThatAreNoList", "api: {hosts: [a]}", "api: {hosts: a}",
           "c.yaml:16: api.hosts must be a list, not \"a\""),
    option("ApiHostsWithASpace", "api: {hosts: [a]}", "api: {hosts: [a b]}",
           "c.yaml:16: api.hosts must be addresses or names without port or path, not \"a b\""),
    option("KeepShards", "keep_shards: yes", "keep_shards: maybe",
           "c.yaml:16: keep_shards must be true or false, not \"maybe\""),
    option("StandIns", "stand_ins: off", "stand_ins: 'false'",
           "c.yaml:16: stand_ins must be true or false, not \"false\""),
    option("Compression", "compression: true", "compression: zstd",
           "c.yaml:16: compression must be auto, on or off, not \"zstd\""),
    option("Delta", "delta: false", "delta: 1",
           "c.yaml:16: delta must be auto, on or off, not \"1\""),
    option("RepairAfter", "repair_after: 1ms", "repair_after: 10",
           "c.yaml:16: repair_after is wrong: a period is a number and ms, s, m, h or d, such as "
           "10m, of 1ms to 36500d, not \"10\""),
    option("ScrubEvery", "scrub_every: 2d", "scrub_every: weekly",
           "c.yaml:16: scrub_every is wrong: a period is a number and ms, s, m, h or d, such as "
           "10m, of 1ms to 36500d, not \"weekly\""),
    option("KeepLast", "retention: {keep_last: 1}", "retention: {keep_last: 0}",
           "c.yaml:16: retention.keep_last must be a whole number of at least 1, not \"0\""),
    option("KeepEvery", "retention: {keep_every: 1}", "retention: {keep_every: 0}",
           "c.yaml:16: retention.keep_every must be a whole number of at least 1, not \"0\""),
    option("NoBandwidth", "bandwidth_limit: 0.1", "bandwidth_limit: 0",
           "c.yaml:16: bandwidth_limit must be none or more than 0 MB/s, such as 12.5, not \"0\""),
    option("BandwidthUnit", "bandwidth_limit: 10 MB/s", "bandwidth_limit: 10 Mbit/s",
           "c.yaml:16: bandwidth_limit must be none or more than 0 MB/s, such as 12.5, "
           "not \"10 Mbit/s\""),
    option("AllOfTheDisk", "reserve: 99.9 %", "reserve: 100 %",
           "c.yaml:16: reserve must be a share of the disk such as 5 % or a size such as 2 GiB, "
           "not \"100 %\""),
    option("ReserveUnit", "reserve: 500 MB", "reserve: 500 M",
           "c.yaml:16: reserve must be a share of the disk such as 5 % or a size such as 2 GiB, "
           "not \"500 M\""),
    option("ReserveTooBig", "reserve: 8000000 TiB", "reserve: 8400000 TiB",
           "c.yaml:16: reserve must be a share of the disk such as 5 % or a size such as 2 GiB, "
           "not \"8400000 TiB\""),
    option("Nice", "nice: 0", "nice: 20",
           "c.yaml:16: nice must be a whole number from 0 to 19, not \"20\""),
    option("Ionice", "ionice: idle", "ionice: realtime",
           "c.yaml:16: ionice must be normal, low or idle, not \"realtime\""),
    // --- the file ---
    option("SecondDocument", "...", "---\na: b",
           "c.yaml:16: something stands after the end of the YAML document"),
    option("ControlCharacter", "# \t", "# \x04",
           "c.yaml:16: a control character; write the file as plain UTF-8 text"),
};

INSTANTIATE_TEST_SUITE_P(All, ConfigRule, testing::ValuesIn(rules),
                         [](auto const& param) { return param.param.name; });

TEST(ConfigRules, NeedOneWorkerAtLeast) {
  constexpr std::string_view head = "ckpt_root: /a\nnum_workers: 1\nredundancy: 1\n";
  std::string const devices = std::string(head) + "devices_config:\n  workers: ";
  EXPECT_TRUE(parse_config(devices + "[{host: a, ip: b, rank: 1, port: 1}]", "c.yaml"));
  EXPECT_EQ(parse_config(devices + "[]", "c.yaml").error().message,
            "c.yaml:5: devices_config.workers must have at least one worker");
  EXPECT_EQ(parse_config(devices, "c.yaml").error().message,
            "c.yaml:5: devices_config.workers must be a list, not nothing");
  EXPECT_EQ(parse_config(std::string(head) + "devices_config: {}", "c.yaml").error().message,
            "c.yaml:4: devices_config.workers is missing");
  EXPECT_EQ(parse_config(head, "c.yaml").error().message, "c.yaml:1: devices_config is missing");
}

TEST(ConfigRules, TellThatTheDefaultRedundancyNeedsTwoWorkers) {
  EXPECT_EQ(parse_config("ckpt_root: /a\nnum_workers: 1\n"
                         "devices_config: {workers: [{host: a, ip: b, rank: 1, port: 1}]}",
                         "c.yaml")
                .error()
                .message,
            "c.yaml:2: num_workers asks for 2 copies on different workers, but there is only 1; "
            "add workers or lower redundancy");
}

TEST(ConfigRules, AllowAThousandWorkers) {
  auto const text = [](std::size_t count) {
    std::string yaml = fmt::format("ckpt_root: /a\nnum_workers: {}\ndevices_config:\n  workers:\n",
                                   std::min<std::size_t>(count, limits::workers_count_max));
    for (std::size_t rank = 1; rank <= count; ++rank) {
      yaml += fmt::format("    - {{host: h, ip: w{0}, rank: {0}, port: 5001}}\n", rank);
    }
    return yaml;
  };
  EXPECT_TRUE(parse_config(text(limits::workers_count_max), "c.yaml"));
  EXPECT_EQ(parse_config(text(limits::workers_count_max + 1), "c.yaml").error().message,
            "c.yaml:4: devices_config.workers has 1025 entries; 1024 are allowed");
}

TEST(ConfigRules, PutFileAndLineBeforeWhatIsNotYaml) {
  for (std::string_view const bad : {"a: b\nc: [", "a: b\n\tc: d", "a: b\n}", "a: *none"}) {
    auto const config = parse_config(bad, "dir/c.yaml");
    ASSERT_FALSE(config) << bad;
    EXPECT_TRUE(config.error().message.starts_with("dir/c.yaml:")) << config.error().message;
    EXPECT_NE(config.error().message.find(": not YAML: "), std::string::npos);
  }
  // yaml-cpp takes nothing of these in, however often it is asked.
  for (std::string_view const bad : {",a: b", "ckpt_root: /a\n...\n,", "}", "]"}) {
    EXPECT_EQ(parse_config(bad, "c.yaml").error().kind, ErrorKind::invalid) << bad;
  }
  EXPECT_EQ(parse_config("", "c.yaml").error().message,
            "c.yaml:1: the file must be a mapping of keys to values, not nothing");
  EXPECT_EQ(parse_config("- a", "c.yaml").error().message,
            "c.yaml:1: the file must be a mapping of keys to values, not a list");
}

}  // namespace
}  // namespace grove
