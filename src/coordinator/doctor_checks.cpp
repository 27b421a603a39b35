#include "coordinator/doctor_checks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "coordinator/file_system_trust.h"
#include "net/url.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds clock_skew_max = 2s;
constexpr double free_share_min = 0.10;

using Findings = std::vector<Finding>;

// One check: what it finds wrong, or else that all is fine.
class Check {
 public:
  Check(Findings& findings, std::string name)
      : findings_(findings), name_(std::move(name)), before_(findings.size()) {}

  void wrong(std::string text, std::string remedy) {
    findings_.push_back({FindingKind::wrong, name_, std::move(text), std::move(remedy)});
  }
  void note(std::string text, std::string remedy) {
    findings_.push_back({FindingKind::note, name_, std::move(text), std::move(remedy)});
  }
  void fine_otherwise(std::string text) {
    if (findings_.size() == before_) {
      findings_.push_back({FindingKind::fine, name_, std::move(text), {}});
    }
  }

 private:
  Findings& findings_;
  std::string name_;
  std::size_t before_;
};

std::string name_of(DeviceConfig const& device) {
  return fmt::format("rank {} ({})", device.rank.value, device.host);
}

std::string gib(std::uint64_t bytes) {
  return fmt::format("{:.1f}",
                     static_cast<double>(bytes) / static_cast<double>(1024 * limits::mib));
}

bool is_on_loopback(DeviceConfig const& device) {
  if (device.ip == "localhost") return true;
  error_code error;
  auto const address = asio::ip::make_address(device.ip, error);
  return !error && address.is_loopback();
}

bool is_all_on_loopback(Config const& config) {
  return std::ranges::all_of(config.workers, is_on_loopback);
}

// Those that answer at their address as who they should be, with what they said.
struct Present {
  DeviceConfig const* device = nullptr;
  WorkerFacts const* facts = nullptr;
  WorkerHealth const* health = nullptr;
};

std::vector<Present> present_ones(DoctorFacts const& facts) {
  std::vector<Present> present;
  for (std::size_t index = 0; index < facts.workers.size(); ++index) {
    auto const& device = facts.config.workers[index];
    auto const& worker = facts.workers[index];
    if (!worker.health || worker.health->rank != device.rank) continue;
    present.push_back({.device = &device, .facts = &worker, .health = &*worker.health});
  }
  return present;
}

void check_config(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "config");
  auto const& config = facts.config;
  for (auto const& notice : config.notices) check.note(notice, {});
  check.fine_otherwise(fmt::format("{}: {} workers, {} copies of each of {} shards",
                                   config.source.string(), config.workers.size(), config.redundancy,
                                   config.n_chunks));
}

void check_root(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "ckpt_root");
  auto const& config = facts.config;
  if (facts.root_trouble) {
    check.wrong(*facts.root_trouble, fmt::format("make that folder, or correct ckpt_root in {}",
                                                 config.source.string()));
  }
  check.fine_otherwise(fmt::format("{} can be read", config.ckpt_root.string()));
}

void check_api(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "API");
  auto const& api = facts.api;
  auto const address = join_host_port(facts.config.api_host, facts.config.api_port);
  switch (api.answer) {
    case ApiFacts::Answer::nobody:
      if (api.is_port_free) {
        check.wrong(fmt::format("no coordinator runs: {}; the port is free", api.detail),
                    "start it: grove start");
      } else {
        check.wrong(fmt::format("{}, though the port is taken", api.detail),
                    "look at the log of what listens there, and start that again; or change "
                    "api.port");
      }
      break;
    case ApiFacts::Answer::other:
      check.wrong(fmt::format("what answers at {} is no grove of this version{}{}", address,
                              api.detail.empty() ? "" : ": ", api.detail),
                  "stop it, or change api.port");
      break;
    case ApiFacts::Answer::grove:
      if (!api.is_of_config) {
        check.note(fmt::format("the coordinator at {} goes by {}, not by {}", address, api.config,
                               facts.config.source.string()),
                   "look at that one (--config)");
      }
      break;
  }
  check.fine_otherwise(fmt::format("a coordinator answers at {}", address));
}

FoundWorker const* announced_as(DoctorFacts const& facts, DeviceConfig const& device) {
  auto const& found = facts.network.workers;
  auto const worker = std::ranges::find_if(found, [&](FoundWorker const& each) {
    return each.rank == device.rank && each.host == device.host;
  });
  return worker == found.end() ? nullptr : &*worker;
}

void check_absent(DoctorFacts const& facts, DeviceConfig const& device, Error const& error,
                  Check& check) {
  auto const text = fmt::format("rank {}: {}", device.rank.value, error.message);
  if (error.kind != ErrorKind::unavailable) {
    check.wrong(text, "that is no worker of this version: stop it, or correct ip and port");
  } else if (auto const* elsewhere = announced_as(facts, device)) {
    check.wrong(text, fmt::format("it is announced at {}: correct ip and port in {}",
                                  join_host_port(elsewhere->ip, elsewhere->port),
                                  facts.config.source.string()));
  } else {
    check.wrong(text, fmt::format("check that its machine and its worker run (grove worker --rank "
                                  "{}), and that its address is right",
                                  device.rank.value));
  }
}

void check_workers(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "workers");
  for (std::size_t index = 0; index < facts.workers.size(); ++index) {
    auto const& device = facts.config.workers[index];
    auto const& health = facts.workers[index].health;
    if (!health) {
      check_absent(facts, device, facts.workers[index].error, check);
    } else if (health->rank != device.rank) {
      check.wrong(
          fmt::format("{}: {} answers as rank {} ({})", name_of(device),
                      join_host_port(device.ip, device.port), health->rank.value, health->host),
          fmt::format("correct the addresses in {}", facts.config.source.string()));
    } else if (health->host != device.host) {
      check.note(fmt::format("{} has another config: there it is {}", name_of(device),
                             health->host.empty() ? "not in it" : health->host),
                 "give all machines the same config.yaml");
    }
  }
  check.fine_otherwise(
      fmt::format("all {} answer at their addresses, as themselves", facts.workers.size()));
}

void check_ids(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "identities");
  std::map<std::string, std::string> names;  // by id
  for (std::size_t index = 0; index < facts.workers.size(); ++index) {
    auto const& health = facts.workers[index].health;
    if (!health) continue;
    auto const name = name_of(facts.config.workers[index]);
    auto const [first, is_new] = names.try_emplace(health->id, name);
    if (is_new) continue;
    check.wrong(fmt::format("{} and {} have one id ({}): one worker at two addresses, or a data "
                            "folder that was copied",
                            first->second, name, health->id),
                "correct the addresses; start the copy again with an empty folder and --new");
  }
  check.fine_otherwise("no two workers have the same");
}

void check_versions(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "versions");
  auto const compare = [&](std::string const& name, std::string const& version) {
    if (version == facts.version) return;
    check.wrong(fmt::format("{} runs grove {}, and this is {}", name, version, facts.version),
                "run the same everywhere: scripts/launch.sh");
  };
  if (facts.api.answer == ApiFacts::Answer::grove) compare("the coordinator", facts.api.version);
  for (auto const& worker : present_ones(facts)) {
    compare(name_of(*worker.device), worker.health->version);
  }
  check.fine_otherwise(fmt::format("grove {} wherever it answers", facts.version));
}

std::string skew_text(std::chrono::milliseconds ahead) {
  auto const seconds = std::abs(std::chrono::duration<double>(ahead).count());
  return fmt::format("{:.1f} s {}", seconds, ahead.count() < 0 ? "behind" : "ahead of");
}

void check_clocks(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "clocks");
  auto const remedy = "set it by the network: timedatectl set-ntp true";
  std::vector<Present> clocks = present_ones(facts);
  std::erase_if(clocks, [](Present const& worker) { return worker.health->clock_ms == 0; });
  auto const ahead = [](Present const& worker) { return worker.facts->clock_ahead; };
  auto const slack = [](Present const& worker) { return worker.facts->clock_slack; };
  if (clocks.size() > 1) {
    auto const [least, most] = std::ranges::minmax_element(clocks, {}, ahead);
    bool const agree = ahead(*most) - ahead(*least) <= clock_skew_max;
    bool const ours_is_off = ahead(*least) - slack(*least) > clock_skew_max ||
                             -ahead(*most) - slack(*most) > clock_skew_max;
    if (agree && ours_is_off) {
      check.wrong(fmt::format("this machine's is {} all workers'", skew_text(-ahead(*least))),
                  remedy);
      return;
    }
  }
  for (auto const& worker : clocks) {
    auto const off = std::chrono::abs(ahead(worker)) - slack(worker);
    if (off <= clock_skew_max) continue;
    check.wrong(fmt::format("that of {} is {} this machine's", name_of(*worker.device),
                            skew_text(ahead(worker))),
                remedy);
  }
  check.fine_otherwise(clocks.empty() ? "none to be seen" : "they agree");
}

void check_space(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "disk space");
  auto const workers = present_ones(facts);
  for (auto const& worker : workers) {
    auto const& device = *worker.device;
    auto const& health = *worker.health;
    auto const share = static_cast<double>(health.free_bytes) /
                       static_cast<double>(std::max<std::uint64_t>(health.total_bytes, 1));
    if (health.free_bytes <= health.reserved_bytes) {
      check.wrong(fmt::format("{} takes nothing more: {} GiB are free, and {} GiB are to stay free",
                              name_of(device), gib(health.free_bytes), gib(health.reserved_bytes)),
                  "free some space there, lower reserve, or give it a larger disk");
    } else if (share < free_share_min) {
      check.wrong(fmt::format("{} has {} of {} GiB left ({:.0f} %)", name_of(device),
                              gib(health.free_bytes), gib(health.total_bytes), 100 * share),
                  "free some space there, or give it a larger disk");
    }
  }
  if (workers.empty()) {
    check.note("no worker tells", {});
    return;
  }
  auto const& least = *std::ranges::min_element(
      workers, {}, [](Present const& worker) { return worker.health->free_bytes; });
  check.fine_otherwise(fmt::format("the least is free on {}: {} of {} GiB", name_of(*least.device),
                                   gib(least.health->free_bytes), gib(least.health->total_bytes)));
}

void check_file_systems(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "file systems");
  std::set<std::string> types;
  for (auto const& worker : present_ones(facts)) {
    auto const& file_system = worker.health->file_system;
    auto const type = file_system.substr(0, file_system.find(' '));
    if (!type.empty()) types.insert(type);
    auto const trouble = trouble_with(file_system);
    if (!trouble) continue;
    check.wrong(fmt::format("that of {} ({}) {}", name_of(*worker.device), type, trouble->text),
                trouble->remedy);
  }
  check.fine_otherwise(types.empty() ? "none to be seen"
                                     : fmt::format("{}", fmt::join(types, ", ")));
}

void check_machines(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "machines");
  auto const& workers = facts.config.workers;
  if (is_all_on_loopback(facts.config)) {
    check.note("all workers are on this one: what it loses is lost",
               "good for trying grove out; for more, use several machines");
    return;
  }
  std::map<std::string, std::string> names;  // by address
  for (auto const& device : workers) {
    auto const [first, is_new] = names.try_emplace(device.ip, name_of(device));
    if (is_new || facts.config.redundancy < 2) continue;
    check.wrong(fmt::format("{} and {} are on one ({}): both copies of a shard may go with it",
                            first->second, name_of(device), device.ip),
                "keep one worker on each machine");
  }
  check.fine_otherwise(fmt::format("each of the {} workers has its own", workers.size()));
}

void check_strangers(DoctorFacts const& facts, Check& check) {
  for (auto const& found : facts.network.workers) {
    auto const address = join_host_port(found.ip, found.port);
    auto const* const device = find_worker(facts.config, found.rank);
    if (device == nullptr || device->host != found.host) {
      check.note(fmt::format("rank {} ({}) at {} is not in this config", found.rank.value,
                             found.host, address),
                 "nothing, if it is another cluster's; else add it (grove start -n)");
      continue;
    }
    auto const index = static_cast<std::size_t>(device - facts.config.workers.data());
    auto const& health = facts.workers[index].health;
    bool const is_there = health && health->rank == device->rank;
    if (!is_there || health->id == found.id) continue;
    check.wrong(fmt::format("another worker calls itself {}, at {}", name_of(*device), address),
                "stop one of the two, or give it another host in its config");
  }
}

void check_mdns(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "mDNS");
  auto const& network = facts.network;
  auto const remedy =
      "a worker whose address changes is not found: let multicast pass (UDP port 5353), or keep "
      "addresses fixed";
  bool const is_needed = !is_all_on_loopback(facts.config);
  if (network.trouble) {
    if (is_needed) check.note(*network.trouble, remedy);
    check.fine_otherwise("not needed, since all workers are on this machine");
    return;
  }
  for (auto const& worker : present_ones(facts)) {
    if (is_on_loopback(*worker.device) || announced_as(facts, *worker.device)) continue;
    check.note(fmt::format("{} is not announced", name_of(*worker.device)), remedy);
  }
  check_strangers(facts, check);
  check.fine_otherwise(is_needed ? "all workers that answer are announced"
                                 : "not needed, since all workers are on this machine");
}

void check_coordinators(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "coordinators");
  bool const one_runs = facts.api.answer == ApiFacts::Answer::grove;
  for (auto const& master : facts.network.masters) {
    auto text = fmt::format("one waits for workers at {} (grove start -n)", master.endpoint.text());
    if (one_runs) {
      check.wrong(text + ", beside the one that runs here",
                  "stop one of the two: a cluster has one coordinator");
    } else {
      check.note(std::move(text), "run grove join on the workers, or stop it");
    }
  }
  for (auto const& worker : present_ones(facts)) {
    auto const count = worker.health->coordinators;
    if (count < 2) continue;
    check.wrong(fmt::format("{} look after {}", count, name_of(*worker.device)),
                "stop all but one (grove start): each repairs and drops by what it alone knows");
  }
  check.fine_otherwise(one_runs ? "no worker knows of another" : "no worker knows of two");
}

void check_draining(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "draining");
  for (auto const& worker : present_ones(facts)) {
    if (!worker.health->is_draining) continue;
    check.note(fmt::format("{} is being emptied", name_of(*worker.device)),
               "take it away when grove drain says so, or grove drain --undo");
  }
  check.fine_otherwise("no worker is being emptied");
}

void check_checkpoints(DoctorFacts const& facts, Findings& findings) {
  Check check(findings, "checkpoints");
  auto const& found = facts.checkpoints;
  if (found.lost_count > 0) {
    check.wrong(fmt::format("{} of {} lost: {}", found.lost_count, found.count, found.worst),
                "store it again where the file is still there, or bring the lost disks back; grove "
                "status lists all");
  } else if (found.endangered_count > 0) {
    check.wrong(fmt::format("{} of {} at risk or out of reach: {}", found.endangered_count,
                            found.count, found.worst),
                "bring the workers back that do not answer, or make room on others; grove status "
                "lists all");
  }
  check.fine_otherwise(found.count == 0 ? "none is stored"
                                        : fmt::format("{} stored, none at risk", found.count));
}

}  // namespace

std::string_view to_string(FindingKind kind) {
  switch (kind) {
    case FindingKind::fine:
      return "fine";
    case FindingKind::note:
      return "note";
    case FindingKind::wrong:
      return "wrong";
  }
  return "wrong";
}

std::vector<Finding> findings_of(DoctorFacts const& facts) {
  GROVE_ASSERT(facts.workers.size() == facts.config.workers.size());
  std::vector<Finding> findings;
  for (auto const check : {check_config, check_root, check_api, check_coordinators, check_workers,
                           check_ids, check_versions, check_clocks, check_space, check_file_systems,
                           check_machines, check_mdns, check_draining, check_checkpoints}) {
    check(facts, findings);
  }
  return findings;
}

}  // namespace grove
