// grove: parse the command and run it. Wiring only; what a command does is in src/cli/.
#include <sys/resource.h>

#include <tuple>
#include <variant>

#include <malloc.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/service.h"

namespace {

// Chunk buffers (4 MiB) are used again rather than mapped anew: a fresh mapping is cleared page by
// page, which took a fifth of a local store's time (docs/benchmarks.md). What is kept is bounded:
// by the buffers in flight, in two arenas that all threads share.
void bound_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
  mallopt(M_ARENA_MAX, 2);
}

// A store of many shards keeps several connections to each worker; the soft limit is for programs
// that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  std::ignore = setrlimit(RLIMIT_NOFILE, &limit);  // the old limit works too, for fewer shards
}

struct RunCommand {
  grove::ConfigPath const& config;

  int operator()(grove::StartOptions const& options) { return run_start(config, options); }
  int operator()(grove::WorkerCommandOptions const& options) { return run_worker(config, options); }
  int operator()(grove::JoinOptions const& options) { return run_join(options); }
  int operator()(grove::WatchOptions const& options) { return run_watch(config, options); }
  int operator()(grove::StoreCommandOptions const& options) { return run_store(config, options); }
  int operator()(grove::GatherCommandOptions const& options) { return run_gather(config, options); }
  int operator()(grove::VerifyOptions const& options) { return run_verify(config, options); }
  int operator()(grove::RepairOptions const& options) { return run_repair(config, options); }
  int operator()(grove::DrillCommandOptions const& options) { return run_drill(config, options); }
  int operator()(grove::DoctorOptions const& options) { return run_doctor(config, options); }
  int operator()(grove::RemoveOptions const& options) { return run_remove(config, options); }
  int operator()(grove::PinOptions const& options) { return run_pin(config, options); }
  int operator()(grove::DrainOptions const& options) { return run_drain(config, options); }
  int operator()(grove::DiscoverOptions const& options) { return run_discover(config, options); }
  int operator()(grove::StatusOptions const& options) { return run_status(config, options); }
  int operator()(grove::ListOptions const& options) { return run_list(config, options); }
  int operator()(grove::ConfigOptions const& options) { return run_config(config, options); }
  int operator()(grove::VersionOptions const& options) { return run_version(options); }
};

}  // namespace

int main(int argc, char** argv) {
  bound_memory();
  raise_descriptor_limit();
  grove::set_up_logs();
  auto parsed = grove::parse_options(argc, argv);
  if (auto const* status = std::get_if<int>(&parsed)) return *status;
  auto const& options = std::get<grove::Options>(parsed);
  return std::visit(RunCommand{options.config}, options.command);
}
