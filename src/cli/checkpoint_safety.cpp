#include "cli/checkpoint_safety.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cli/api_endpoint.h"
#include "cli/interruptible.h"
#include "net/api_client.h"
#include "net/task_group.h"
#include "net/url.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::chrono::milliseconds look_period = 2s;

// The newest complete generation; nullptr: there is none.
json const* newest_complete(json const& document) {
  for (auto const& checkpoint : document["checkpoints"]) {
    for (auto const& generation : checkpoint["generations"]) {
      if (generation.value("state", std::string()) == "complete") return &generation;
    }
  }
  return nullptr;
}

bool was_forgotten(json const& document, std::uint64_t generation) {
  return std::ranges::any_of(document["tombstones"], [&](json const& tombstone) {
    return tombstone.value("up_to", std::uint64_t{0}) >= generation;
  });
}

bool is_of_this_file(json const& file, json const& generation) {
  return file.value("bytes", std::uint64_t{0}) == generation.value("bytes", std::uint64_t{1}) &&
         file.value("mtime_ns", std::int64_t{0}) == generation.value("mtime_ns", std::int64_t{1});
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
        fmt::print(stderr, "ERROR: {}\n", reply.error().message);
        co_return;
      }
      auto const found = read(reply.value());
      if (!found) co_return;
      status_ = found->is_safe ? EXIT_SUCCESS : EXIT_FAILURE;
      if (found->is_safe || found->is_final || !options_.is_waiting) break;
      std::chrono::duration<double> const waited = std::chrono::steady_clock::now() - begun;
      if (options_.timeout_s && waited.count() >= *options_.timeout_s) break;
      bool const rested = co_await sleep_for(look_period);
      if (!rested) co_return;
    }
    if (options_.form == Form::json) fmt::print("{}\n", document_.dump());
  }

  int status() const { return status_; }

 private:
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
  int status_ = EXIT_FAILURE;
};

}  // namespace

Safety safety_of(json const& document) {
  auto const* generation = newest_complete(document);
  if (generation == nullptr) {
    bool const is_forgotten = was_forgotten(document, 0);
    return {.is_safe = false,
            .is_final = false,
            .words = is_forgotten ? "not stored: it was forgotten on purpose" : "not stored yet"};
  }
  auto const verdict = generation->value("verdict", std::string());
  if (was_forgotten(document, generation->value("generation", std::uint64_t{0}))) {
    return {.is_safe = false, .is_final = true, .words = "it was forgotten on purpose"};
  }
  auto const& file = document["file"];
  if (file.is_object() && !is_of_this_file(file, *generation)) {
    return {.is_safe = false,
            .is_final = false,
            .words = "not stored as the file is now; what was stored before is " + verdict};
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
