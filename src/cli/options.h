// What was asked for on the command line. Parsing only; what a command does is in its own file.
// Threads: main.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "base/config.h"

namespace grove {

struct StartOptions {
  std::uint32_t local_workers = 0;  // --local N: also run N workers on this machine
  std::optional<std::filesystem::path> data;
  std::optional<std::filesystem::path> ckpt_root;  // only for a config that is made now
};

struct WorkerCommandOptions {
  Rank rank;
  std::optional<std::filesystem::path> data;
  std::uint16_t port = 0;     // 0: the config's
  bool is_new = false;        // an empty folder is a new disk
  bool only_prepare = false;  // make the data folder of a new disk, and end
};

struct StoreOptions {
  std::filesystem::path ckpt_path;
};

struct GatherCommandOptions {
  std::filesystem::path ckpt_path;
  std::optional<std::filesystem::path> output;
  std::optional<std::uint64_t> generation;
};

enum class Form { table, json };

struct StatusOptions {
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
    std::variant<StartOptions, WorkerCommandOptions, StoreOptions, GatherCommandOptions,
                 StatusOptions, ListOptions, ConfigOptions, VersionOptions>;

struct Options {
  std::optional<std::filesystem::path> config;  // --config
  CommandOptions command;
};

// Either what was asked for, or the exit status after --help (0) or wrong usage (2); what there was
// to say has been printed then.
std::variant<Options, int> parse_options(int argc, char const* const* argv);

}  // namespace grove
