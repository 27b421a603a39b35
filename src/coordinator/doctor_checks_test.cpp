#include "coordinator/doctor_checks.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t gib = 1ull << 30;

// Four healthy workers on four machines, and a coordinator.
DoctorFacts healthy() {
  DoctorFacts facts;
  facts.version = "0.1.0";
  facts.config.source = "/etc/config.yaml";
  facts.config.ckpt_root = "/ckpt";
  facts.config.n_chunks = 4;
  facts.api = {.answer = ApiFacts::Answer::grove,
               .detail = {},
               .is_port_free = false,
               .version = "0.1.0",
               .config = "/etc/config.yaml",
               .is_of_config = true};
  for (std::uint32_t rank = 1; rank <= 4; ++rank) {
    DeviceConfig const device{.host = fmt::format("pi4-{}", rank),
                              .ip = fmt::format("192.168.1.{}", rank),
                              .rank = Rank{rank},
                              .port = static_cast<std::uint16_t>(5000 + rank)};
    WorkerHealth health;
    health.rank = device.rank;
    health.host = device.host;
    health.id = fmt::format("{:032}", rank);
    health.version = "0.1.0";
    health.free_bytes = 80 * gib;
    health.total_bytes = 120 * gib;
    health.reserved_bytes = gib;
    health.clock_ms = 1'700'000'000'000;
    health.file_system = "ext4 rw,relatime";
    facts.config.workers.push_back(device);
    facts.network.workers.push_back({.ip = device.ip,
                                     .port = device.port,
                                     .rank = device.rank,
                                     .host = device.host,
                                     .id = health.id});
    facts.workers.push_back(
        {.health = health, .error = {}, .clock_ahead = 3ms, .clock_slack = 5ms});
  }
  return facts;
}

std::vector<Finding> of_kind(DoctorFacts const& facts, FindingKind kind) {
  auto findings = findings_of(facts);
  std::erase_if(findings, [&](Finding const& finding) { return finding.kind != kind; });
  return findings;
}

// The one thing that is wrong, as a line: "<check>: <text>; <remedy>".
std::string only_wrong(DoctorFacts const& facts) {
  auto const wrong = of_kind(facts, FindingKind::wrong);
  EXPECT_EQ(wrong.size(), 1u);
  if (wrong.empty()) return {};
  EXPECT_FALSE(wrong[0].remedy.empty());
  return fmt::format("{}: {}; {}", wrong[0].check, wrong[0].text, wrong[0].remedy);
}

std::string only_note(DoctorFacts const& facts) {
  EXPECT_TRUE(of_kind(facts, FindingKind::wrong).empty());
  auto const notes = of_kind(facts, FindingKind::note);
  EXPECT_EQ(notes.size(), 1u);
  return notes.empty() ? std::string() : notes[0].check + ": " + notes[0].text;
}

void go_away(DoctorFacts& facts, std::size_t index, ErrorKind kind = ErrorKind::unavailable) {
  facts.workers[index].health.reset();
  facts.workers[index].error = fail(kind, "pi4-{0} (192.168.1.{0}:500{0}): refused", index + 1);
}

TEST(Doctor, FindsNothingWrongWithAHealthyCluster) {
  auto const findings = findings_of(healthy());
  EXPECT_EQ(findings.size(), 14u);
  for (auto const& finding : findings) {
    EXPECT_EQ(finding.kind, FindingKind::fine) << finding.check << ": " << finding.text;
    EXPECT_FALSE(finding.text.empty()) << finding.check;
  }
}

TEST(Doctor, SaysThatCkptRootCannotBeRead) {
  auto facts = healthy();
  facts.root_trouble = "/ckpt is not there";
  EXPECT_EQ(only_wrong(facts),
            "ckpt_root: /ckpt is not there; make that folder, or correct ckpt_root in "
            "/etc/config.yaml");
}

TEST(Doctor, TellsOfTheWorstCheckpoint) {
  auto facts = healthy();
  facts.checkpoints = {.count = 9,
                       .lost_count = 0,
                       .endangered_count = 2,
                       .worst = "a.bin is at risk: 1 of 2 copies"};
  EXPECT_EQ(only_wrong(facts),
            "checkpoints: 2 of 9 at risk or out of reach: a.bin is at risk: 1 of 2 copies; bring "
            "the workers back that do not answer, or make room on others; grove status lists all");
  facts.checkpoints.lost_count = 1;
  facts.checkpoints.worst = "b.bin is lost: shard 1 has no sound copy on any worker";
  EXPECT_EQ(only_wrong(facts),
            "checkpoints: 1 of 9 lost: b.bin is lost: shard 1 has no sound copy on any worker; "
            "store it again where the file is still there, or bring the lost disks back; grove "
            "status lists all");
}

TEST(Doctor, PassesOnTheConfigsNotices) {
  auto facts = healthy();
  facts.config.notices.push_back("data_path is ignored");
  EXPECT_EQ(only_note(facts), "config: data_path is ignored");
}

TEST(Doctor, TellsACoordinatorThatIsDownFromAPortThatIsTaken) {
  auto facts = healthy();
  facts.api = {.answer = ApiFacts::Answer::nobody, .detail = "127.0.0.1:8000: connection refused"};
  EXPECT_EQ(only_wrong(facts),
            "API: no coordinator runs: 127.0.0.1:8000: connection refused; the port is free; start "
            "it: grove start");
  facts.api.is_port_free = false;
  EXPECT_NE(only_wrong(facts).find("though the port is taken"), std::string::npos);
  facts.api.answer = ApiFacts::Answer::other;
  EXPECT_NE(only_wrong(facts).find("127.0.0.1:8000 is no grove"), std::string::npos);
}

TEST(Doctor, NotesACoordinatorOfAnotherConfig) {
  auto facts = healthy();
  facts.api.config = "/other.yaml";
  facts.api.is_of_config = false;
  EXPECT_NE(only_note(facts).find("goes by /other.yaml"), std::string::npos);
}

TEST(Doctor, SaysWhyAWorkerDoesNotAnswer) {
  auto facts = healthy();
  go_away(facts, 1);
  facts.network.workers.erase(facts.network.workers.begin() + 1);
  EXPECT_EQ(only_wrong(facts),
            "workers: rank 2: pi4-2 (192.168.1.2:5002): refused; check that its machine and its "
            "worker run (grove worker --rank 2), and that its address is right");
}

TEST(Doctor, SaysWhereAWorkerThatMovedIs) {
  auto facts = healthy();
  go_away(facts, 1);
  facts.network.workers[1].ip = "192.168.1.99";
  EXPECT_NE(only_wrong(facts).find("it is announced at 192.168.1.99:5002"), std::string::npos);
}

TEST(Doctor, KnowsAProgramThatIsNoWorker) {
  auto facts = healthy();
  go_away(facts, 2, ErrorKind::internal);
  EXPECT_NE(only_wrong(facts).find("that is no worker of this version"), std::string::npos);
}

TEST(Doctor, SeesTwoWorkersWhoseAddressesAreSwapped) {
  auto facts = healthy();
  std::swap(facts.workers[0], facts.workers[1]);
  auto const wrong = of_kind(facts, FindingKind::wrong);
  ASSERT_EQ(wrong.size(), 2u);
  EXPECT_EQ(wrong[0].text, "rank 1 (pi4-1): 192.168.1.1:5001 answers as rank 2 (pi4-2)");
  EXPECT_EQ(wrong[1].text, "rank 2 (pi4-2): 192.168.1.2:5002 answers as rank 1 (pi4-1)");
}

TEST(Doctor, NotesAWorkerWithAnotherConfig) {
  auto facts = healthy();
  facts.workers[0].health->host = "old-name";
  EXPECT_EQ(only_note(facts), "workers: rank 1 (pi4-1) has another config: there it is old-name");
}

TEST(Doctor, SeesACopiedDataFolder) {
  auto facts = healthy();
  facts.workers[3].health->id = facts.workers[0].health->id;
  facts.network.workers.pop_back();
  facts.network.workers.push_back({.ip = "192.168.1.4",
                                   .port = 5004,
                                   .rank = Rank{4},
                                   .host = "pi4-4",
                                   .id = facts.workers[0].health->id});
  EXPECT_NE(only_wrong(facts).find("identities: rank 1 (pi4-1) and rank 4 (pi4-4) have one id"),
            std::string::npos);
}

TEST(Doctor, ComparesVersions) {
  auto facts = healthy();
  facts.workers[2].health->version = "0.0.9";
  EXPECT_EQ(only_wrong(facts),
            "versions: rank 3 (pi4-3) runs grove 0.0.9, and this is 0.1.0; run the same "
            "everywhere: scripts/launch.sh");
  facts = healthy();
  facts.api.version = "0.2.0";
  EXPECT_NE(only_wrong(facts).find("the coordinator runs grove 0.2.0"), std::string::npos);
}

TEST(Doctor, AllowsAClockTwoSecondsAndWhatTheRoundTripHides) {
  auto facts = healthy();
  facts.workers[0].clock_ahead = 2005ms;
  EXPECT_TRUE(of_kind(facts, FindingKind::wrong).empty());
  facts.workers[0].clock_ahead = 2006ms;
  EXPECT_NE(only_wrong(facts).find("that of rank 1 (pi4-1) is 2.0 s ahead"), std::string::npos);
  facts.workers[0].clock_ahead = -3600s;
  EXPECT_NE(only_wrong(facts).find("is 3600.0 s behind"), std::string::npos);
  facts.workers[0].health->clock_ms = 0;  // it does not say
  EXPECT_TRUE(of_kind(facts, FindingKind::wrong).empty());
}

TEST(Doctor, KnowsThatItsOwnClockIsOffWhereAllOthersAgree) {
  auto facts = healthy();
  for (auto& worker : facts.workers) worker.clock_ahead = 61s;
  EXPECT_EQ(only_wrong(facts),
            "clocks: this machine's is 61.0 s behind all workers'; set it by the network: "
            "timedatectl set-ntp true");
}

TEST(Doctor, SeesDisksThatAreFullAndThoseThatSoonAre) {
  auto facts = healthy();
  facts.workers[1].health->free_bytes = facts.workers[1].health->reserved_bytes;
  EXPECT_NE(
      only_wrong(facts).find(
          "rank 2 (pi4-2) takes nothing more: 1.0 GiB are free, and 1.0 GiB are to stay free"),
      std::string::npos);
  facts.workers[1].health->free_bytes = 12 * gib;
  EXPECT_TRUE(of_kind(facts, FindingKind::wrong).empty());
  facts.workers[1].health->free_bytes = 12 * gib - 1;
  EXPECT_NE(only_wrong(facts).find("has 12.0 of 120.0 GiB left (10 %)"), std::string::npos);
}

TEST(Doctor, DistrustsFileSystemsThatForget) {
  auto facts = healthy();
  facts.workers[0].health->file_system = "tmpfs rw,size=4194304k";
  EXPECT_NE(
      only_wrong(facts).find("file systems: that of rank 1 (pi4-1) (tmpfs) is kept in memory"),
      std::string::npos);
}

TEST(Doctor, SeesTwoWorkersOnOneMachine) {
  auto facts = healthy();
  facts.config.workers[1].ip = facts.config.workers[0].ip;
  EXPECT_NE(only_wrong(facts).find("machines: rank 1 (pi4-1) and rank 2 (pi4-2) are on one"),
            std::string::npos);
  facts.config.redundancy = 1;
  EXPECT_TRUE(of_kind(facts, FindingKind::wrong).empty());
}

TEST(Doctor, TakesAClusterOnTheLoopbackForATrial) {
  auto facts = healthy();
  facts.network = {};
  facts.network.trouble = "no multicast";
  for (auto& device : facts.config.workers) device.ip = "127.0.0.1";
  EXPECT_EQ(only_note(facts), "machines: all workers are on this one: what it loses is lost");
}

TEST(Doctor, NotesWhoIsNotAnnounced) {
  auto facts = healthy();
  facts.network.workers.pop_back();
  EXPECT_EQ(only_note(facts), "mDNS: rank 4 (pi4-4) is not announced");
  facts = healthy();
  facts.network = {};
  facts.network.trouble = "no interface carries multicast";
  EXPECT_EQ(only_note(facts), "mDNS: no interface carries multicast");
}

TEST(Doctor, SeesAnotherWorkerOfTheSameRankAndName) {
  auto facts = healthy();
  facts.network.workers.push_back({.ip = "192.168.1.99",
                                   .port = 5002,
                                   .rank = Rank{2},
                                   .host = "pi4-2",
                                   .id = std::string(32, 'f')});
  EXPECT_NE(only_wrong(facts).find("another worker calls itself rank 2 (pi4-2), at 192.168.1.99"),
            std::string::npos);
}

TEST(Doctor, NotesAWorkerThatIsInNoConfig) {
  auto facts = healthy();
  facts.network.workers.push_back({.ip = "192.168.1.99",
                                   .port = 5009,
                                   .rank = Rank{9},
                                   .host = "pi4-9",
                                   .id = std::string(32, 'f')});
  EXPECT_EQ(only_note(facts), "mDNS: rank 9 (pi4-9) at 192.168.1.99:5009 is not in this config");
}

TEST(Doctor, SeesASecondCoordinator) {
  auto facts = healthy();
  facts.network.masters.push_back(
      {.host = "pi-main", .endpoint = {.host = "192.168.1.50", .port = 5000, .name = "pi-main"}});
  EXPECT_NE(only_wrong(facts).find("coordinators: one waits for workers at pi-main"),
            std::string::npos);
  facts.api = {.answer = ApiFacts::Answer::nobody, .detail = "refused"};
  EXPECT_NE(only_wrong(facts).find("API: "), std::string::npos);
  EXPECT_EQ(of_kind(facts, FindingKind::note).size(), 1u);
}

TEST(Doctor, HearsOfASecondCoordinatorFromTheWorkers) {
  auto facts = healthy();
  facts.workers[2].health->coordinators = 2;
  EXPECT_NE(only_wrong(facts).find("coordinators: 2 look after rank 3 (pi4-3)"), std::string::npos);
}

TEST(Doctor, NotesAWorkerThatIsBeingEmptied) {
  auto facts = healthy();
  facts.workers[2].health->is_draining = true;
  EXPECT_EQ(only_note(facts), "draining: rank 3 (pi4-3) is being emptied");
}

TEST(Doctor, SaysOfNobodyWhatNobodyTold) {
  auto facts = healthy();
  for (std::size_t index = 0; index < 4; ++index) go_away(facts, index);
  facts.network.workers.clear();
  EXPECT_EQ(of_kind(facts, FindingKind::wrong).size(), 4u);
  EXPECT_EQ(of_kind(facts, FindingKind::note).size(), 1u);  // of the disks
}

}  // namespace
}  // namespace grove
