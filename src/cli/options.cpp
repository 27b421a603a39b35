#include "cli/options.h"

#include <charconv>
#include <utility>

#include <CLI/CLI.hpp>

#include "base/limits.h"
#include "coordinator/discovery.h"
#include "watcher/candidate.h"

namespace grove {
namespace {

constexpr int usage_error = 2;

constexpr char const* about =
    "grove keeps training checkpoints safe on machines you own and gives them back fast.\n"
    "A coordinator (grove start) cuts each checkpoint into shards and puts every shard on two\n"
    "workers (grove worker); grove store and grove gather talk to it.";

constexpr char const* config_places =
    "The config file is --config FILE, else $GROVE_CONFIG, else configs/config.yaml, else\n"
    "~/.config/grove/config.yaml.";

constexpr std::uint16_t watch_metrics_port = 8001;  // beside the API's 8000

// CLI11 wants lvalues to fill; one bundle of them for all commands.
struct Values {
  std::string config;
  std::string data;
  std::string ckpt_root;
  std::string ckpt_path;
  std::string output;
  std::string scratch;
  std::uint64_t generation = 0;
  std::string coordinator;
  std::string host;
  double timeout_s = discovery_timeout_default.count();
  std::uint32_t local_workers = 0;
  std::uint32_t joining_workers = 0;
  std::uint32_t rank = 0;
  std::uint16_t port = 0;
  bool is_new = false;
  std::string extensions{default_extension};
  std::uint16_t metrics_port = watch_metrics_port;
  bool is_silent = false;
  bool is_unwatched = false;
  bool is_unrepaired = false;
  bool only_prepare = false;
  bool is_dry_run = false;
  bool force = false;
  bool is_undone = false;
  bool is_waiting = false;
  double wait_s = 0;
  bool json = false;
};

std::optional<std::filesystem::path> path_if(std::string const& text) {
  if (text.empty()) return std::nullopt;
  return std::filesystem::path(text);
}

// A relative path means the caller's folder, not the coordinator's.
std::filesystem::path absolute(std::string const& text) {
  std::error_code error;
  auto path = std::filesystem::absolute(text, error);
  return error ? std::filesystem::path(text) : path;
}

// "192.168.1.2:5000", "[fe80::1%eth0]:5000", "pi-main:5000".
std::optional<Endpoint> parse_endpoint(std::string const& text) {
  auto const colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  Endpoint endpoint;
  auto const* const end = text.data() + text.size();
  auto const [rest, error] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
  if (error != std::errc() || rest != end || endpoint.port == 0) return std::nullopt;
  endpoint.host = text.substr(0, colon);
  bool const is_bracketed = endpoint.host.front() == '[' && endpoint.host.back() == ']';
  if (is_bracketed) endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  bool const is_bare_ipv6 = !is_bracketed && endpoint.host.find(':') != std::string::npos;
  if (endpoint.host.empty() || is_bare_ipv6) return std::nullopt;
  return endpoint;
}

std::string is_address_and_port(std::string const& text) {
  return parse_endpoint(text) ? "" : "must be ADDRESS:PORT, such as 192.168.1.2:5000";
}

std::string is_extension_list(std::string const& text) {
  auto const parsed = parse_extensions(text);
  return parsed.has_value() ? "" : parsed.error().message;
}

JoinOptions join_options(Values const& values) {
  JoinOptions options{.coordinator = parse_endpoint(values.coordinator),
                      .data = path_if(values.data),
                      .host = {},
                      .port = {}};
  if (!values.host.empty()) options.host = values.host;
  if (values.port != 0) options.port = values.port;
  return options;
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char const* const* argv) {
  CLI::App app(about, "grove");
  app.footer(config_places);
  app.require_subcommand(1);
  Values values;
  CommandOptions command;

  auto const with_config = [&](CLI::App* sub) {
    sub->add_option("--config", values.config, "config.yaml to use")->option_text("FILE");
    sub->footer(config_places);
    return sub;
  };
  auto const with_json = [&](CLI::App* sub) {
    sub->add_flag("--json", values.json, "print JSON, for scripts");
    return sub;
  };
  auto const form = [&] { return values.json ? Form::json : Form::table; };

  auto* start = with_config(app.add_subcommand("start", "run the API in the foreground"));
  start
      ->add_option("--local", values.local_workers,
                   "also run N workers on this machine, with a config and data of their own")
      ->option_text("N")
      ->check(CLI::Range(1, 64));
  start
      ->add_option("--data", values.data,
                   "with --local: where config and data are (default ~/.local/share/grove)")
      ->option_text("DIR");
  start
      ->add_option(
          "--ckpt-root", values.ckpt_root,
          "ckpt_root of a config that is made now, by --local or -n (default ~/checkpoints)")
      ->option_text("DIR");
  start
      ->add_option("-n", values.joining_workers,
                   "wait for N workers to join (grove join) and write them into the config first")
      ->option_text("N")
      ->check(CLI::Range(1, static_cast<int>(limits::workers_count_max)));
  start->add_flag("--no-announce", values.is_silent,
                  "with --local: do not announce the workers by mDNS");
  start->add_flag("--no-watch", values.is_unwatched,
                  "do not watch ckpt_root: checkpoints are stored only when somebody asks");
  start->add_flag("--no-repair", values.is_unrepaired,
                  "do not make lost copies again by itself: only grove repair does");
  start->callback([&] {
    command = StartOptions{.local_workers = values.local_workers,
                           .data = path_if(values.data),
                           .ckpt_root = path_if(values.ckpt_root),
                           .joining_workers = values.joining_workers,
                           .is_announced = !values.is_silent,
                           .is_watching = !values.is_unwatched,
                           .is_repairing = !values.is_unrepaired};
  });

  auto* worker = with_config(app.add_subcommand("worker", "run one worker in the foreground"));
  worker->add_option("--rank", values.rank, "which worker of the config this is")
      ->option_text("N")
      ->required();
  worker
      ->add_option("--data", values.data, "its data folder (default ~/.local/share/grove/worker_N)")
      ->option_text("DIR");
  worker->add_option("--port", values.port, "listen here instead of on the config's port")
      ->option_text("PORT");
  worker->add_flag("--no-announce", values.is_silent, "do not announce this worker by mDNS");
  worker->add_flag("--new", values.is_new, "take an empty data folder for a new disk");
  worker->add_flag("--prepare", values.only_prepare,
                   "only make the data folder of a new disk, and end");
  worker->callback([&] {
    command = WorkerCommandOptions{.rank = Rank{values.rank},
                                   .data = path_if(values.data),
                                   .port = values.port,
                                   .is_new = values.is_new,
                                   .only_prepare = values.only_prepare,
                                   .is_announced = !values.is_silent};
  });

  auto* join = app.add_subcommand(
      "join", "get a rank from a coordinator that waits (grove start -n) and run this worker");
  join->footer("");  // it brings its config with it
  join->add_option("--coordinator", values.coordinator,
                   "where it is, if multicast does not pass; without it, found by mDNS")
      ->option_text("ADDRESS:PORT")
      ->check(is_address_and_port);
  join->add_option("--data", values.data, "data folder (default ~/.local/share/grove/worker)")
      ->option_text("DIR");
  join->add_option("--host", values.host, "the name shown to people (default: this machine's)")
      ->option_text("NAME");
  join->add_option("--port", values.port, "listen here (default: what the coordinator says)")
      ->option_text("PORT");
  join->callback([&] { command = join_options(values); });

  auto* watch = with_config(
      app.add_subcommand("watch", "store new checkpoints under ckpt_root by themselves"));
  watch->add_option("--ext", values.extensions, "the file extensions to watch")
      ->option_text(".EXT,.EXT")
      ->check(is_extension_list)
      ->capture_default_str();
  watch
      ->add_option("--metrics-port", values.metrics_port,
                   "serve /metrics here, on 127.0.0.1; 0: do not")
      ->option_text("PORT")
      ->capture_default_str();
  watch->callback([&] {
    command = WatchOptions{.extensions = parse_extensions(values.extensions).value(),
                           .metrics_port = values.metrics_port};
  });

  auto* store =
      with_config(app.add_subcommand("store", "store a checkpoint on the workers, twice"));
  store->add_option("--ckpt-path", values.ckpt_path, "the checkpoint, a file under ckpt_root")
      ->option_text("PATH")
      ->required();
  store->callback([&] { command = StoreCommandOptions{.ckpt_path = absolute(values.ckpt_path)}; });

  auto* gather = with_config(
      app.add_subcommand("gather", "get a checkpoint back as merged.<extension> beside it"));
  gather->add_option("--ckpt-path", values.ckpt_path, "the path it was stored from")
      ->option_text("PATH")
      ->required();
  gather->add_option("--output", values.output, "write it to this path instead")
      ->option_text("PATH");
  auto* generation =
      gather->add_option("--generation", values.generation, "an older generation (grove ls)")
          ->option_text("N");
  gather->callback([&] {
    GatherCommandOptions options{
        .ckpt_path = absolute(values.ckpt_path), .output = {}, .generation = {}};
    if (!values.output.empty()) options.output = absolute(values.output);
    if (generation->count() > 0) options.generation = values.generation;
    command = std::move(options);
  });

  auto* verify = with_config(app.add_subcommand(
      "verify", "re-read every copy from the workers' disks and prove it, at full speed"));
  auto* verified = verify
                       ->add_option("--ckpt-path", values.ckpt_path,
                                    "only the copies of this checkpoint, with the proof of each")
                       ->option_text("PATH");
  verify->callback([&] {
    VerifyOptions options;
    if (verified->count() > 0) options.ckpt_path = absolute(values.ckpt_path);
    command = std::move(options);
  });

  auto* repair = with_config(app.add_subcommand(
      "repair", "make now what copies are missing; a running coordinator does it by itself"));
  repair->add_flag("--dry-run", values.is_dry_run, "only print what would be done");
  repair->callback([&] { command = RepairOptions{.is_dry_run = values.is_dry_run}; });

  auto* drill = with_config(app.add_subcommand(
      "drill",
      "restore a checkpoint from the workers to a scratch folder, compare, time and delete it"));
  auto* drilled =
      drill
          ->add_option("--ckpt-path", values.ckpt_path, "this checkpoint; without it one at random")
          ->option_text("PATH");
  drill
      ->add_option("--scratch", values.scratch,
                   "where there is room for it (default: beside shards_root)")
      ->option_text("DIR");
  drill->callback([&] {
    DrillCommandOptions options;
    if (drilled->count() > 0) options.ckpt_path = absolute(values.ckpt_path);
    if (!values.scratch.empty()) options.scratch = absolute(values.scratch);
    command = std::move(options);
  });

  auto* remove = with_config(app.add_subcommand(
      "rm", "forget a checkpoint on all workers, or one older generation of it"));
  remove->add_option("--ckpt-path", values.ckpt_path, "the path it was stored from, exactly")
      ->option_text("PATH")
      ->required();
  auto* removed =
      remove->add_option("--generation", values.generation, "only this generation (grove ls)")
          ->option_text("N");
  remove->add_flag("--force", values.force, "also the last complete generation of it");
  remove->callback([&] {
    RemoveOptions options{.ckpt_path = absolute(values.ckpt_path), .generation = {}};
    if (removed->count() > 0) options.generation = values.generation;
    options.force = values.force;
    command = std::move(options);
  });

  auto* pin = with_config(app.add_subcommand(
      "pin", "keep a checkpoint, with the other files of its step, whatever `retention` says"));
  pin->add_option("--ckpt-path", values.ckpt_path, "the path it was stored from")
      ->option_text("PATH")
      ->required();
  pin->add_flag("--off", values.is_undone, "no longer");
  pin->callback([&] {
    command = PinOptions{.ckpt_path = absolute(values.ckpt_path), .is_pinned = !values.is_undone};
  });

  auto* drain = with_config(app.add_subcommand(
      "drain", "empty a worker before it is taken away: others get all that it holds"));
  drain->add_option("--rank", values.rank, "the worker")->option_text("N")->required();
  drain->add_flag("--undo", values.is_undone, "it stays after all");
  drain->callback(
      [&] { command = DrainOptions{.rank = Rank{values.rank}, .is_undone = values.is_undone}; });

  auto* discover =
      with_json(with_config(app.add_subcommand("discover", "workers that answer on this network")));
  discover->add_option("--timeout", values.timeout_s, "seconds to look for them (default 10)")
      ->option_text("S")
      ->check(CLI::Range(discovery_timeout_min.count(), discovery_timeout_max.count()));
  discover->callback(
      [&] { command = DiscoverOptions{.timeout_s = values.timeout_s, .form = form()}; });
  auto* status = with_json(
      with_config(app.add_subcommand("status", "workers, running jobs and what is at risk")));
  auto* status_of =
      status
          ->add_option(
              "--ckpt-path", values.ckpt_path,
              "only of this checkpoint; exit status 0 when it is safe as it is now, else 1")
          ->option_text("PATH");
  auto* wait =
      status->add_flag("--wait", values.is_waiting, "wait until it is safe")->needs(status_of);
  auto* wait_for = status->add_option("--timeout", values.wait_s, "wait no longer than this")
                       ->option_text("S")
                       ->check(CLI::PositiveNumber)
                       ->needs(wait);
  status->callback([&] {
    StatusOptions options{
        .ckpt_path = {}, .is_waiting = values.is_waiting, .timeout_s = {}, .form = form()};
    if (status_of->count() > 0) options.ckpt_path = absolute(values.ckpt_path);
    if (wait_for->count() > 0) options.timeout_s = values.wait_s;
    command = std::move(options);
  });
  auto* doctor = with_json(with_config(app.add_subcommand(
      "doctor", "check config, workers, clocks, disks and network, with advice")));
  doctor->callback([&] { command = DoctorOptions{.form = form()}; });
  auto* list =
      with_json(with_config(app.add_subcommand("ls", "stored checkpoints and generations")));
  list->callback([&] { command = ListOptions{.form = form()}; });
  auto* config =
      with_json(with_config(app.add_subcommand("config", "check the config and print it")));
  config->callback([&] { command = ConfigOptions{.form = form()}; });
  auto* version =
      with_json(with_config(app.add_subcommand("version", "the version of this program")));
  version->callback([&] { command = VersionOptions{.form = form()}; });

  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    int const status_code = app.exit(error);
    return status_code == 0 ? 0 : usage_error;
  }
  return Options{.config = path_if(values.config), .command = std::move(command)};
}

}  // namespace grove
