// What is wrong with a cluster, and what to do about it: facts → findings, in the order in which a
// person should look at them. Pure.
// Not here: asking for the facts (doctor.h), printing the findings (cli/doctor_command.cpp).
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/discovery.h"
#include "coordinator/join_client.h"
#include "transfer/worker_messages.h"

namespace grove {

struct ApiFacts {
  enum class Answer {
    grove,
    other,   // something that is no grove
    nobody,  // nothing, or not in time
  };
  Answer answer = Answer::nobody;
  std::string detail{};  // why there is no answer
  bool is_port_free = true;
  std::string version{};     // of grove
  std::string config{};      // the path of its config.yaml
  bool is_of_config = true;  // which is the one that is looked at
};

struct WorkerFacts {
  std::optional<WorkerHealth> health;        // of whoever answers at its address
  Error error;                               // why there is none
  std::chrono::milliseconds clock_ahead{0};  // of ours, where `health` tells its clock
  std::chrono::milliseconds clock_slack{0};  // by how much that may be wrong
};

struct NetworkFacts {
  std::optional<std::string> trouble;  // mDNS does not work here
  std::vector<FoundWorker> workers;    // those that are announced, and answer
  std::vector<WaitingMaster> masters;  // grove start -n
};

// The newest generation of each checkpoint, by its verdict.
struct CheckpointFacts {
  std::size_t count = 0;
  std::size_t lost_count = 0;
  std::size_t endangered_count = 0;  // at risk, or out of reach
  // One of the worst, in words: "run1/step_1/model.safetensors is lost: …". Empty: there is none.
  std::string worst{};
};

struct DoctorFacts {
  Config config;
  std::string version;                      // of this program
  std::optional<std::string> root_trouble;  // why ckpt_root cannot be read
  ApiFacts api;
  std::vector<WorkerFacts> workers;  // one for each of the config, in its order
  NetworkFacts network;
  CheckpointFacts checkpoints;
};

enum class FindingKind { fine, note, wrong };
// "fine"
std::string_view to_string(FindingKind kind);

struct Finding {
  FindingKind kind = FindingKind::fine;
  std::string check;   // what was looked at: "disk space"
  std::string text;    // what was found
  std::string remedy;  // what to do; empty where there is nothing to do
};

// One finding at least for each check.
std::vector<Finding> findings_of(DoctorFacts const& facts);

}  // namespace grove
