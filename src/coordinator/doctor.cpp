#include "coordinator/doctor.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/limits.h"
#include "base/wall_clock.h"
#include "coordinator/members.h"
#include "coordinator/overview.h"
#include "net/api_reply.h"
#include "net/host_label.h"
#include "net/parallel.h"

namespace grove {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A worker that took longer is asked again: half of it is how far its clock can be misread.
constexpr std::chrono::milliseconds round_trip_good = 200ms;

// What the jobs of a coordinator share, for one that only asks.
struct Asking {
  explicit Asking(asio::any_io_executor executor)
      : http(executor),
        offload(1),
        buffers(executor, 1),
        encodings(executor, 1),
        neighbours(executor, 0),  // port 0 is nobody's
        presences(executor),
        services{.executor = executor,
                 .http = http,
                 .offload = offload,
                 .buffers = buffers,
                 .encodings = encodings,
                 .neighbours = neighbours,
                 .presences = presences,
                 .metrics = metrics,
                 .coordinator_id = {},
                 .repairs_by_itself = true} {}

  HttpClient http;
  Offload offload;
  Semaphore buffers;
  Semaphore encodings;
  Neighbours neighbours;
  Presences presences;
  Metrics metrics{Role::coordinator};
  Services services;
};

std::optional<std::string> trouble_of_root(fs::path const& root) {
  std::error_code error;
  auto const status = fs::status(root, error);
  if (!fs::exists(status)) return fmt::format("{} is not there", root.string());
  if (!fs::is_directory(status)) return fmt::format("{} is no folder", root.string());
  auto const names = list_folder(root);
  if (names.has_error()) return names.error().message;
  return std::nullopt;
}

// Whether somebody could listen there now.
bool is_port_free(std::string const& host, std::uint16_t port) {
  error_code error;
  auto const address = asio::ip::make_address(host, error);
  if (error) return true;  // a name; whoever starts there is told
  asio::io_context io;
  tcp::acceptor acceptor(io);
  tcp::endpoint const endpoint(address, port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  return !error;
}

Awaitable<void> ask_api(Asking& asking, Config const& config, Endpoint endpoint, ApiFacts& facts) {
  HttpCall call;
  call.target = "/health";
  auto const reply = co_await asking.http.call(endpoint, std::move(call));
  if (reply.has_error()) {
    bool const is_nobody = reply.error().kind == ErrorKind::unavailable;
    facts.answer = is_nobody ? ApiFacts::Answer::nobody : ApiFacts::Answer::other;
    facts.detail = reply.error().message;
    facts.is_port_free = is_nobody && is_port_free(config.api_host, config.api_port);
    co_return;
  }
  auto const document = nlohmann::json::parse(reply.value().text(), nullptr, false);
  bool const is_grove = reply.value().is_success() && document.is_object() &&
                        field<std::string>(document, "coordinator") &&
                        field<std::string>(document, "version");
  if (!is_grove) {
    facts.answer = ApiFacts::Answer::other;
    co_return;
  }
  facts.answer = ApiFacts::Answer::grove;
  facts.version = printable(*field<std::string>(document, "version"));
  auto const path = field<std::string>(document, "config").value_or("");
  facts.config = printable(path);
  std::error_code error;  // a path that is not there is another one
  facts.is_of_config = fs::equivalent(path, config.source, error);
}

Awaitable<Result<WorkerHealth>> ask_once(Asking& asking, DeviceConfig const& device,
                                         WorkerFacts& facts) {
  WorkerClient worker(asking.http, address_of(device));
  auto const begun = Clock::now();
  auto const begun_ms = wall_clock_ms();
  auto health = co_await worker.who_answers();
  auto const round_trip = std::chrono::ceil<std::chrono::milliseconds>(Clock::now() - begun);
  facts.clock_slack = round_trip / 2;
  if (health.has_value()) {
    facts.clock_ahead =
        std::chrono::milliseconds(health.value().clock_ms - begun_ms) - facts.clock_slack;
  }
  co_return health;
}

Awaitable<void> ask_worker(Asking& asking, DeviceConfig const& device, WorkerFacts& facts) {
  auto health = co_await ask_once(asking, device, facts);
  if (health.has_value() && 2 * facts.clock_slack > round_trip_good) {
    auto again = co_await ask_once(asking, device, facts);
    if (again.has_value()) health = std::move(again);
  }
  if (health.has_value()) {
    facts.health = std::move(health).value();
  } else {
    facts.error = health.error();
  }
}

Awaitable<void> look_for_workers(Asking& asking, Config const& config, NetworkFacts& facts) {
  auto mdns = asking.neighbours.mdns();
  if (mdns.has_error()) {
    facts.trouble = mdns.error().message;
    co_return;
  }
  auto const is_device = [](DeviceConfig const& device, auto const& found) {
    return device.rank == found.rank && device.host == found.host;
  };
  ScanOptions options;
  options.timeout = limits::moved_worker_timeout;
  options.is_enough = [](std::vector<FoundWorker> const&) { return false; };  // strangers count too
  options.is_looked_for = [&](WorkerAnnouncement const& announced) {
    return std::ranges::any_of(
        config.workers, [&](DeviceConfig const& device) { return is_device(device, announced); });
  };
  auto found = co_await find_workers(asking.services, *mdns.value(), std::move(options));
  if (found.has_error()) {
    facts.trouble = found.error().message;
  } else {
    facts.workers = std::move(found).value();
  }
}

Awaitable<void> look_for_masters(NetworkFacts& facts) {
  auto masters = co_await find_masters(limits::moved_worker_timeout);
  // What hinders this hinders the look for workers, which says so.
  if (masters.has_value()) facts.masters = std::move(masters).value();
}

CheckpointFacts count_verdicts(std::vector<CheckpointReport> const& reports) {
  CheckpointFacts facts;
  auto worst = Verdict::safe;
  for (auto const& checkpoint : reports) {
    auto const newest =
        std::ranges::find_if(checkpoint.generations, &GenerationReport::has_manifest);
    if (newest == checkpoint.generations.end()) continue;
    ++facts.count;
    bool const is_lost = newest->verdict == Verdict::lost;
    bool const is_endangered =
        newest->verdict == Verdict::at_risk || newest->verdict == Verdict::out_of_reach;
    facts.lost_count += is_lost;
    facts.endangered_count += is_endangered;
    if ((is_lost && worst != Verdict::lost) || (is_endangered && worst == Verdict::safe)) {
      worst = newest->verdict;
      facts.worst = printable(checkpoint.key.identity()) + " is " + newest->detail;
    }
  }
  return facts;
}

Awaitable<void> judge_checkpoints(Asking& asking, Config const& config, CheckpointFacts& facts) {
  auto view = co_await survey(asking.services, config, std::nullopt);
  Overview overview(asking.services);
  auto const reports = co_await overview.reports(config, view);
  facts = count_verdicts(reports);
}

}  // namespace

Awaitable<DoctorFacts> look_at_cluster(Config config, Endpoint api) {
  Asking asking(co_await asio::this_coro::executor);
  DoctorFacts facts;
  facts.version = GROVE_VERSION;
  facts.root_trouble =
      co_await asking.offload.run([&] { return trouble_of_root(config.ckpt_root); });
  facts.workers.resize(config.workers.size());
  std::vector<Awaitable<void>> questions;
  questions.push_back(ask_api(asking, config, std::move(api), facts.api));
  for (std::size_t index = 0; index < config.workers.size(); ++index) {
    questions.push_back(ask_worker(asking, config.workers[index], facts.workers[index]));
  }
  questions.push_back(look_for_workers(asking, config, facts.network));
  questions.push_back(look_for_masters(facts.network));
  questions.push_back(judge_checkpoints(asking, config, facts.checkpoints));
  co_await run_all(std::move(questions));
  co_await asking.neighbours.stop();
  asking.http.close_idle();
  facts.config = std::move(config);
  co_return facts;
}

}  // namespace grove
