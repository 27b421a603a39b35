// One function per command; each returns the process's exit status.
// 0 only after "Done:" (or what the command promises), 1 on an error, 2 on wrong usage, 130 on
// Ctrl-C. Results go to stdout, logs and errors to stderr.
// Threads: main.
#pragma once

#include <filesystem>
#include <optional>

#include "cli/options.h"

namespace grove {

using ConfigPath = std::optional<std::filesystem::path>;  // --config

int run_start(ConfigPath const& config, StartOptions const& options);
int run_worker(ConfigPath const& config, WorkerCommandOptions const& options);
int run_join(JoinOptions const& options);
int run_watch(ConfigPath const& config, WatchOptions const& options);
int run_store(ConfigPath const& config, StoreCommandOptions const& options);
int run_gather(ConfigPath const& config, GatherCommandOptions const& options);
int run_verify(ConfigPath const& config, VerifyOptions const& options);
int run_repair(ConfigPath const& config, RepairOptions const& options);
int run_drill(ConfigPath const& config, DrillCommandOptions const& options);
int run_doctor(ConfigPath const& config, DoctorOptions const& options);
int run_remove(ConfigPath const& config, RemoveOptions const& options);
int run_pin(ConfigPath const& config, PinOptions const& options);
int run_drain(ConfigPath const& config, DrainOptions const& options);
int run_discover(ConfigPath const& config, DiscoverOptions const& options);
int run_status(ConfigPath const& config, StatusOptions const& options);
int run_list(ConfigPath const& config, ListOptions const& options);
int run_config(ConfigPath const& config, ConfigOptions const& options);
int run_version(VersionOptions const& options);

}  // namespace grove
