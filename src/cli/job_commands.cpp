// The commands that end with "Done:" or "ERROR:": the lines as they come, and on a terminal one
// live progress line under them.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/api_endpoint.h"
#include "cli/commands.h"
#include "cli/interruptible.h"
#include "net/api_client.h"
#include "net/task_group.h"
#include "net/url.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds live_period = 500ms;

// The log, and under it a line that is drawn again and again.
class Screen {
 public:
  Screen() : is_terminal_(::isatty(STDOUT_FILENO) == 1) {}

  bool is_terminal() const { return is_terminal_; }

  void log(std::string_view line) {
    clear_live();
    fmt::print("{}\n", line);
    std::fflush(stdout);
    draw_live();
  }

  void live(std::string text) {
    clear_live();
    live_ = std::move(text);
    draw_live();
  }

 private:
  void clear_live() {
    if (!live_.empty()) fmt::print("\r\x1b[2K");
  }
  void draw_live() {
    if (live_.empty()) return;
    fmt::print("{}", live_);
    std::fflush(stdout);
  }

  bool is_terminal_;
  std::string live_;
};

struct Command {
  std::string kind;  // "store", "gather" or "repair", as in GET /jobs
  std::string target;
  std::filesystem::path ckpt_path = {};  // none: of all checkpoints
  http::verb method = http::verb::post;
};

std::string live_text(nlohmann::json const& job) {
  constexpr double mib = 1024.0 * 1024.0;
  auto const done = job.value("bytes_done", 0.0);
  auto const total = job.value("bytes_total", 0.0);
  if (total <= 0) return {};
  auto text = fmt::format("  {:.1f} of {:.1f} MB ({:.0f} %), {:.1f} MB/s", done / mib, total / mib,
                          100 * done / total, job.value("bytes_per_second", 0.0) / mib);
  if (job.contains("seconds_left") && job["seconds_left"].is_number()) {
    text += fmt::format(", {:.0f} s left", job["seconds_left"].get<double>());
  }
  return text;
}

Awaitable<void> show_progress(ApiClient& api, Command const& command, Screen& screen) {
  while (true) {
    bool const go_on = co_await sleep_for(live_period);
    if (!go_on) break;
    auto const reply = co_await api.get("/jobs");
    if (reply.has_error()) break;
    auto const document = nlohmann::json::parse(reply.value(), nullptr, false);
    if (!document.is_object() || !document.contains("jobs")) break;
    for (auto const& job : document["jobs"]) {
      auto const identity = job.value("identity", std::string());
      if (job.value("kind", std::string()) == command.kind &&
          job.value("state", std::string()) == "running" &&
          (command.ckpt_path.empty() || command.ckpt_path.string().ends_with("/" + identity))) {
        screen.live(live_text(job));
        break;
      }
    }
  }
  screen.live({});
}

Awaitable<void> follow(Endpoint endpoint, Command command, int& status) {
  auto const executor = co_await asio::this_coro::executor;
  ApiClient api(executor, endpoint);
  Screen screen;
  TaskGroup progress(executor);
  if (screen.is_terminal()) progress.spawn("progress", show_progress(api, command, screen));
  bool is_done = false;
  bool has_error = false;
  auto const on_line = [&](std::string_view line) {
    is_done = is_done || line.starts_with("Done:");
    has_error = has_error || line.starts_with("ERROR");
    if (is_done || has_error) progress.cancel();
    screen.log(line);
  };
  auto const streamed = co_await api.stream_lines(command.target, on_line, command.method);
  co_await progress.stop(1s);
  bool const interrupted = co_await is_cancelled();
  if (interrupted) co_return;
  if (streamed.has_error()) {
    fmt::print(stderr, "ERROR: {}\n", streamed.error().message);
  } else if (!is_done && !has_error) {
    fmt::print(stderr, "ERROR: the API's answer ended before the job did\n");
  }
  status = streamed.has_value() && is_done && !has_error ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_job(ConfigPath const& config, Command command) {
  auto endpoint = api_endpoint(config);
  if (endpoint.has_error()) {
    fmt::print(stderr, "ERROR: {}\n", endpoint.error().message);
    return EXIT_FAILURE;
  }
  asio::io_context io(1);
  int status = EXIT_FAILURE;
  bool const finished =
      run_interruptible(io, "follow", follow(endpoint.value(), std::move(command), status));
  if (finished) return status;
  fmt::print(stderr, "\nleft; the job goes on: grove status shows it\n");
  return interrupted_status;
}

}  // namespace

int run_store(ConfigPath const& config, StoreCommandOptions const& options) {
  auto const path = options.ckpt_path.string();
  return run_job(config, {.kind = "store",
                          .target = "/store-shard?ckpt_path=" + percent_encode(path),
                          .ckpt_path = options.ckpt_path});
}

int run_gather(ConfigPath const& config, GatherCommandOptions const& options) {
  auto target = "/gather-shards?ckpt_path=" + percent_encode(options.ckpt_path.string());
  if (options.output) target += "&output=" + percent_encode(options.output->string());
  if (options.generation) target += fmt::format("&generation={}", *options.generation);
  return run_job(config, {.kind = "gather", .target = target, .ckpt_path = options.ckpt_path});
}

int run_verify(ConfigPath const& config, VerifyOptions const& options) {
  std::string target = "/verify";
  if (options.ckpt_path) target += "?ckpt_path=" + percent_encode(options.ckpt_path->string());
  return run_job(config, {.kind = "verify", .target = target});
}

int run_drill(ConfigPath const& config, DrillCommandOptions const& options) {
  std::string target = "/drill";
  char separator = '?';
  auto const add = [&](char const* name, std::optional<std::filesystem::path> const& path) {
    if (!path) return;
    target +=
        fmt::format("{}{}={}", std::exchange(separator, '&'), name, percent_encode(path->string()));
  };
  add("ckpt_path", options.ckpt_path);
  add("scratch", options.scratch);
  return run_job(config, {.kind = "drill",
                          .target = target,
                          .ckpt_path = options.ckpt_path.value_or(std::filesystem::path())});
}

int run_remove(ConfigPath const& config, RemoveOptions const& options) {
  auto target = "/checkpoints?ckpt_path=" + percent_encode(options.ckpt_path.string());
  if (options.generation) target += fmt::format("&generation={}", *options.generation);
  if (options.force) target += "&force=true";
  return run_job(config, {.kind = "rm", .target = target, .method = http::verb::delete_});
}

int run_pin(ConfigPath const& config, PinOptions const& options) {
  auto const target = fmt::format("/pin?ckpt_path={}&pinned={}",
                                  percent_encode(options.ckpt_path.string()), options.is_pinned);
  return run_job(config, {.kind = "pin", .target = target});
}

int run_drain(ConfigPath const& config, DrainOptions const& options) {
  auto const target = fmt::format("/drain?rank={}&undo={}", options.rank.value, options.is_undone);
  return run_job(config, {.kind = "repair", .target = target});
}

int run_repair(ConfigPath const& config, RepairOptions const& options) {
  auto const dry_run = options.is_dry_run ? "?dry_run=true" : "";
  return run_job(config, {.kind = "repair", .target = std::string("/repair") + dry_run});
}

}  // namespace grove
