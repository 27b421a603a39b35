// What was asked for on the command line. Parsing only; what a command does is in its own file.
// Threads: main.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/config.h"
#include "net/http_call.h"

namespace grove {

struct StartOptions {
  std::uint32_t local_workers = 0;  // --local N: also run N workers on this machine
  std::optional<std::filesystem::path> data;
  std::optional<std::filesystem::path> ckpt_root;  // only for a config that is made now
  std::uint32_t joining_workers = 0;               // -n N: wait for N grove joins first
  bool is_announced = true;                        // the local workers
  bool is_watching = true;                         // ckpt_root, once the API listens
  bool is_repairing = true;                        // what is lost, by itself
};

struct JoinOptions {
  std::optional<Endpoint> coordinator;  // --coordinator ADDRESS:PORT
  std::optional<std::filesystem::path> data;
  std::optional<std::string> host;  // as the config will have it
  std::optional<std::uint16_t> port;
};

struct WorkerCommandOptions {
  Rank rank;
  std::optional<std::filesystem::path> data;
  std::uint16_t port = 0;     // 0: the config's
  bool is_new = false;        // an empty folder is a new disk
  bool only_prepare = false;  // make the data folder of a new disk, and end
  bool is_announced = true;
};

struct WatchOptions {
  std::vector<std::string> extensions;  // with their dots
  std::uint16_t metrics_port = 0;       // 0: none
};

struct StoreCommandOptions {
  std::filesystem::path ckpt_path;
};

struct GatherCommandOptions {
  std::filesystem::path ckpt_path;
  std::optional<std::filesystem::path> output;
  std::optional<std::uint64_t> generation;
};

struct VerifyOptions {
  std::optional<std::filesystem::path> ckpt_path;  // only of this one, with the proof of each copy
};

struct RepairOptions {
  bool is_dry_run = false;
};

struct DrillCommandOptions {
  std::optional<std::filesystem::path> ckpt_path;  // none: any
  std::optional<std::filesystem::path> scratch;
};

struct RemoveOptions {
  std::filesystem::path ckpt_path;
  std::optional<std::uint64_t> generation;
  bool force = false;  // also the last complete generation
};

struct PinOptions {
  std::filesystem::path ckpt_path;
  bool is_pinned = true;
};

struct DrainOptions {
  Rank rank;
  bool is_undone = false;
};

enum class Form { table, json };

struct DiscoverOptions {
  double timeout_s = 0;
  Form form = Form::table;
};
struct DoctorOptions {
  Form form = Form::table;
};
struct StatusOptions {
  std::optional<std::filesystem::path>
      ckpt_path;                    // only of this one, which the exit status tells of
  bool is_waiting = false;          // until it is safe
  std::optional<double> timeout_s;  // and no longer
  Form form = Form::table;
};
struct ListOptions {
  Form form = Form::table;
};
struct ConfigOptions {
  Form form = Form::table;
};
struct VersionOptions {
  Form form = Form::table;
};

using CommandOptions =
    std::variant<StartOptions, WorkerCommandOptions, JoinOptions, WatchOptions, StoreCommandOptions,
                 GatherCommandOptions, VerifyOptions, RepairOptions, DrillCommandOptions,
                 DoctorOptions, RemoveOptions, PinOptions, DrainOptions, DiscoverOptions,
                 StatusOptions, ListOptions, ConfigOptions, VersionOptions>;

struct Options {
  std::optional<std::filesystem::path> config;  // --config
  CommandOptions command;
};

// Either what was asked for, or the exit status after --help (0) or wrong usage (2); what there was
// to say has been printed then.
std::variant<Options, int> parse_options(int argc, char const* const* argv);

}  // namespace grove
