#include "cli/checkpoint_safety.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/api_endpoint.h"
#include "cli/interruptible.h"
#include "net/api_client.h"
#include "net/api_reply.h"
#include "net/task_group.h"
#include "net/url.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::chrono::milliseconds ask_period = 2s;

// The first generation in this state, newest first; nullptr: there is none.
json const* newest(json const& document, std::string_view state) {
  for (auto const& checkpoint : document["checkpoints"]) {
    for (auto const& generation : checkpoint["generations"]) {
      if (generation.value("state", std::string()) == state) return &generation;
    }
  }
  return nullptr;
}

enum class Content { same, other, not_yet_known };

// Whether the file is the one that `of` was made from, by its size and time, or by its content.
Content compare(json const& file, json const& of) {
  auto const bytes = field<std::uint64_t>(of, "bytes").value_or(0);
  // Nobody can tell now, or could when it was forgotten.
  if (bytes == 0) return Content::same;
  if (field<std::uint64_t>(file, "bytes") != bytes) return Content::other;
  if (field<std::int64_t>(file, "mtime_ns") == field<std::int64_t>(of, "mtime_ns")) {
    return Content::same;
  }
  if (!file.contains("sha256")) return Content::other;
  auto const sha256 = field<std::string>(file, "sha256");
  if (!sha256) return Content::not_yet_known;
  return sha256 == field<std::string>(of, "sha256") ? Content::same : Content::other;
}

// Of a checkpoint without a complete generation.
Safety safety_of_nothing(json const& document) {
  auto const& file = document["file"];
  auto const& tombstones = document["tombstones"];
  // Another file than the one that was forgotten may be on its way.
  bool const is_new = file.is_object() && !tombstones.empty() &&
                      std::ranges::none_of(tombstones, [&](json const& tombstone) {
                        return compare(file, tombstone) == Content::same;
                      });
  bool const is_being_stored = newest(document, "unfinished") != nullptr;
  if (!tombstones.empty() && !is_new && !is_being_stored) {
    return {.is_final = true, .words = "not stored: it was forgotten on purpose"};
  }
  auto const alive = document.value("workers_alive", std::uint64_t{0});
  if (!file.is_object() && !is_being_stored && alive > 0) {
    return {.is_final = true,
            .words = fmt::format("neither stored, on {} of {} workers that answer, nor is there "
                                 "such a file",
                                 alive, document.value("workers", std::uint64_t{0}))};
  }
  return {.words = "not stored yet"};
}

class Look {
 public:
  Look(Endpoint api, StatusOptions const& options) : api_(std::move(api)), options_(options) {}

  Awaitable<void> run() {
    ApiClient api(co_await asio::this_coro::executor, api_);
    auto const target = "/checkpoints?ckpt_path=" + percent_encode(options_.ckpt_path->string());
    auto const begun = std::chrono::steady_clock::now();
    for (;;) {
      auto reply = co_await api.get(target);
      bool const interrupted = co_await is_cancelled();
      if (interrupted) co_return;
      if (reply.has_error()) {
        if (!can_wait_for(reply.error())) co_return;
      } else {
        is_away_told_ = false;
        auto const found = read(reply.value());
        if (!found) co_return;
        status_ = found->is_safe ? EXIT_SUCCESS : EXIT_FAILURE;
        if (found->is_safe || found->is_final) break;
        if (!options_.is_waiting && !found->is_pending) break;
      }
      std::chrono::duration<double> const waited = std::chrono::steady_clock::now() - begun;
      if (options_.timeout_s && waited.count() >= *options_.timeout_s) break;
      bool const rested = co_await sleep_for(ask_period);
      if (!rested) co_return;
    }
    if (options_.form == Form::json && document_.is_object()) {
      fmt::print("{}\n", document_.dump());
    }
  }

  int status() const { return status_; }

 private:
  // A coordinator that is being started again is back soon. Says what is the matter, once.
  bool can_wait_for(Error const& error) {
    if (!options_.is_waiting || error.kind != ErrorKind::unavailable) {
      fmt::print(stderr, "ERROR: {}\n", error.message);
      return false;
    }
    status_ = EXIT_FAILURE;
    if (!std::exchange(is_away_told_, true)) {
      fmt::print(stderr, "waiting for the API: {}\n", error.message);
    }
    return true;
  }

  std::optional<Safety> read(std::string const& text) {
    document_ = json::parse(text, nullptr, false);
    if (!document_.is_object() || !document_.contains("checkpoints")) {
      fmt::print(stderr, "ERROR: the API did not answer with what is stored\n");
      return std::nullopt;
    }
    auto found = safety_of(document_);
    if (options_.form == Form::table && found.words != told_) {
      fmt::print("{}\n", printable(found.words));
      std::fflush(stdout);
      told_ = found.words;
    }
    return found;
  }

  Endpoint api_;
  StatusOptions const& options_;
  json document_;
  std::string told_;
  bool is_away_told_ = false;
  int status_ = EXIT_FAILURE;
};

}  // namespace

Safety safety_of(json const& document) {
  auto const* generation = newest(document, "complete");
  if (generation == nullptr) return safety_of_nothing(document);
  auto const verdict = generation->value("verdict", std::string());
  auto const& file = document["file"];
  auto const content = file.is_object() ? compare(file, *generation) : Content::same;
  if (content == Content::not_yet_known) {
    return {.is_pending = true,
            .words = "the file has another time than what is stored: comparing its content"};
  }
  if (content == Content::other) {
    return {.words = "not stored as the file is now; what was stored before is " + verdict};
  }
  auto const safety = generation->value("safety", std::string());
  return {.is_safe = safety == "safe", .is_final = safety == "lost", .words = verdict};
}

int show_safety(ConfigPath const& config, StatusOptions const& options) {
  auto endpoint = api_endpoint(config);
  if (endpoint.has_error()) {
    fmt::print(stderr, "ERROR: {}\n", endpoint.error().message);
    return EXIT_FAILURE;
  }
  asio::io_context io(1);
  Look look(std::move(endpoint).value(), options);
  bool const finished = run_interruptible(io, "status", look.run());
  return finished ? look.status() : interrupted_status;
}

}  // namespace grove
