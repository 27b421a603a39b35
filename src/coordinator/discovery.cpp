#include "coordinator/discovery.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "coordinator/candidate_queue.h"
#include "net/task_group.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;

int address_class(asio::ip::address const& address) {
  if (address.is_loopback()) return 4;
  if (address.is_v4()) return 0;
  if (address.to_v6().is_link_local()) return 3;
  bool const is_unique_local = (address.to_v6().to_bytes()[0] & 0xFE) == 0xFC;
  return is_unique_local ? 2 : 1;
}

// One scan: sightings come in on one side, proven workers go out on the other.
class Scan {
 public:
  Scan(Services& services, Mdns& mdns, ScanOptions options)
      : services_(services),
        mdns_(mdns),
        options_(std::move(options)),
        deadline_(Clock::now() + options_.timeout),
        changed_(services.executor),
        tasks_(services.executor) {}

  Awaitable<Result<std::vector<FoundWorker>>> run() {
    tasks_.spawn("browse for workers", browse());
    for (std::size_t i = 0; i < limits::discovery_calls_max; ++i) {
      tasks_.spawn("ask a worker that was found", ask_candidates());
    }
    bool cancelled = false;
    while (!is_over_ && !cancelled && !failure_ && Clock::now() < deadline_) {
      std::ignore = co_await changed_.wait_until(deadline_);  // the loop looks why
      cancelled = co_await is_cancelled();
    }
    is_over_ = true;
    tasks_.cancel();
    co_await tasks_.wait();
    if (cancelled) co_return fail(ErrorKind::cancelled, "the scan was given up");
    if (failure_ && failure_->kind != ErrorKind::cancelled) co_return *failure_;
    std::vector<FoundWorker> workers;
    for (auto& proven : proven_) workers.push_back(std::move(proven.worker));
    std::sort(workers.begin(), workers.end(), [](FoundWorker const& a, FoundWorker const& b) {
      return std::tie(a.rank, a.id) < std::tie(b.rank, b.id);
    });
    co_return workers;
  }

 private:
  struct Proven {
    FoundWorker worker;
    asio::ip::address address;
  };

  Awaitable<void> browse() {
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    auto const on_sighting = [this](MdnsSighting const& sighting) {
      take(sighting);
      return !is_over_;
    };
    auto browsed = co_await mdns_.browse(worker_service_type, left, on_sighting);
    if (browsed.has_error() && !is_over_) failure_ = browsed.error();
    changed_.notify_all();
  }

  void take(MdnsSighting const& sighting) {
    auto const announcement = read_announcement(sighting);
    if (!announcement) return;
    if (!seen_.insert({sighting.address, sighting.port}).second) return;
    candidates_.add({.address = sighting.address,
                     .port = sighting.port,
                     .is_looked_for = options_.is_looked_for(*announcement),
                     .was_asked = false});
    changed_.notify_all();
  }

  Awaitable<void> ask_candidates() {
    while (!is_over_) {
      bool const stop = co_await is_cancelled();
      if (stop) co_return;
      auto const candidate = candidates_.take();
      if (!candidate) {
        std::ignore = co_await changed_.wait_until(deadline_);  // the loop looks why
        continue;
      }
      co_await ask(*candidate);
    }
  }

  Awaitable<void> ask(Candidate candidate) {
    auto const ip = candidate.address.to_string();
    WorkerAddress address;
    address.endpoint = {.host = ip, .port = candidate.port, .name = {}};
    WorkerClient client(services_.http, std::move(address));
    auto const health = co_await client.who_answers(
        candidate.was_asked ? limits::health_timeout : limits::discovery_first_try);
    if (is_over_) co_return;
    if (health.has_error() && !candidate.was_asked) {
      candidate.was_asked = true;
      candidates_.add(candidate);
      co_return;
    }
    if (health.has_error()) {
      // It may be just starting: another sighting is another chance.
      seen_.erase({candidate.address, candidate.port});
      co_return;
    }
    add({.ip = ip,
         .port = candidate.port,
         .rank = health.value().rank,
         .host = health.value().host,
         .id = health.value().id},
        candidate.address);
  }

  void add(FoundWorker worker, asio::ip::address const& address) {
    auto const known = std::find_if(proven_.begin(), proven_.end(), [&](Proven const& proven) {
      return proven.worker.id == worker.id;
    });
    if (known == proven_.end()) {
      proven_.push_back({.worker = std::move(worker), .address = address});
    } else if (is_better_address(address, known->address)) {
      *known = {.worker = std::move(worker), .address = address};
    } else {
      return;
    }
    std::vector<FoundWorker> workers;
    for (auto const& proven : proven_) workers.push_back(proven.worker);
    if (options_.is_enough(workers)) {
      deadline_ = std::min(deadline_, Clock::now() + options_.settle);
    }
    changed_.notify_all();
  }

  Services& services_;
  Mdns& mdns_;
  ScanOptions options_;
  Clock::time_point deadline_;
  Signal changed_;
  TaskGroup tasks_;
  std::set<std::pair<asio::ip::address, std::uint16_t>> seen_;
  CandidateQueue candidates_;
  std::vector<Proven> proven_;
  std::optional<Error> failure_;
  bool is_over_ = false;
};

// Those of some workers that still answer, as who they are and before a deadline.
class SecondLook {
 public:
  SecondLook(Services& services, std::vector<FoundWorker> workers)
      : services_(services),
        workers_(std::move(workers)),
        answers_(workers_.size(), false),
        tasks_(services.executor) {}

  Awaitable<std::vector<FoundWorker>> run(Clock::time_point deadline) {
    tasks_.spawn("end of the second look", end_at(deadline));
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      tasks_.spawn("ask a worker again", ask(i));
    }
    co_await tasks_.wait();
    std::vector<FoundWorker> there;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (answers_[i]) there.push_back(std::move(workers_[i]));
    }
    co_return there;
  }

 private:
  Awaitable<void> end_at(Clock::time_point deadline) {
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    std::ignore = co_await sleep_for(left);  // cancelled: all have answered, or nobody waits
    tasks_.cancel();
  }

  Awaitable<void> ask(std::size_t index) {
    auto const& worker = workers_[index];
    WorkerAddress address{.rank = worker.rank,
                          .id = worker.id,
                          .endpoint = {.host = worker.ip, .port = worker.port, .name = {}}};
    WorkerClient client(services_.http, std::move(address));
    auto const health = co_await client.health();
    answers_[index] = health.has_value();
    if (++asked_count_ == workers_.size()) tasks_.cancel();
  }

  Services& services_;
  std::vector<FoundWorker> workers_;
  std::vector<bool> answers_;
  std::size_t asked_count_ = 0;
  TaskGroup tasks_;  // last: they use the others
};

bool has_all(std::vector<FoundWorker> const& found, Config const& config) {
  return std::all_of(config.workers.begin(), config.workers.end(), [&](DeviceConfig const& device) {
    return std::any_of(found.begin(), found.end(), [&](FoundWorker const& worker) {
      return worker.rank == device.rank && worker.host == device.host;
    });
  });
}

}  // namespace

bool is_better_address(asio::ip::address const& a, asio::ip::address const& b) {
  return std::pair(address_class(a), a) < std::pair(address_class(b), b);
}

Result<std::chrono::duration<double>> parse_discovery_timeout(std::string_view text) {
  double seconds = 0;
  auto const* const end = text.data() + text.size();
  auto const [rest, error] = std::from_chars(text.data(), end, seconds);
  std::chrono::duration<double> const timeout(seconds);
  bool const is_number = error == std::errc() && rest == end;
  // Written so that "nan" is refused too.
  if (!is_number || !(timeout >= discovery_timeout_min && timeout <= discovery_timeout_max)) {
    return fail(ErrorKind::invalid, "timeout must be a number of seconds from {} to {}, not \"{}\"",
                discovery_timeout_min.count(), discovery_timeout_max.count(), printable(text));
  }
  return timeout;
}

Awaitable<Result<std::vector<FoundWorker>>> find_workers(Services& services, Mdns& mdns,
                                                         ScanOptions options) {
  Scan scan(services, mdns, std::move(options));
  co_return co_await scan.run();
}

Awaitable<Result<std::vector<FoundWorker>>> discover(Services& services, Mdns& mdns,
                                                     Config const& config,
                                                     std::chrono::milliseconds timeout) {
  auto const deadline = Clock::now() + timeout;
  while (true) {
    ScanOptions options;
    options.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    options.settle = limits::discovery_settle;
    options.is_enough = [&config](auto const& found) { return has_all(found, config); };
    options.is_looked_for = [&config](WorkerAnnouncement const& announced) {
      return std::any_of(config.workers.begin(), config.workers.end(),
                         [&](DeviceConfig const& device) {
                           return device.rank == announced.rank && device.host == announced.host;
                         });
    };
    auto found = co_await find_workers(services, mdns, std::move(options));
    if (found.has_error() || !has_all(found.value(), config)) co_return found;
    SecondLook second_look(services, std::move(found).value());
    auto there = co_await second_look.run(deadline);
    if (has_all(there, config) || Clock::now() >= deadline) co_return there;
  }
}

std::string serialize_workers(std::vector<FoundWorker> const& workers) {
  auto rows = nlohmann::ordered_json::array();
  for (auto const& worker : workers) {
    rows.push_back({{"ip", worker.ip},
                    {"port", worker.port},
                    {"rank", worker.rank.value},
                    {"hostname", worker.host}});
  }
  return nlohmann::ordered_json{{"workers", std::move(rows)}}.dump();
}

}  // namespace grove
