// The coordinator's API as the commands use it.
// Threads: the event loop that it is used on.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/http_client.h"

namespace grove {

// Where the API of this config is; without any config file the default, 127.0.0.1:8000.
// Fails: invalid, not_found (an explicit config that is not there).
Result<Endpoint> api_endpoint(std::optional<std::filesystem::path> const& explicit_config);

class ApiClient {
 public:
  ApiClient(asio::any_io_executor executor, Endpoint api);

  // POSTs and hands each line of the answer, without its newline, to `on_line` as it comes.
  // Fails: unavailable (no API there; the message says how to start one), or what the API said.
  Awaitable<Result<void>> stream_lines(std::string target,
                                       std::function<void(std::string_view)> on_line);

  // GETs a JSON document; the API may take `work_time` longer than usual for it.
  Awaitable<Result<std::string>> get(std::string target, std::chrono::milliseconds work_time = {});

 private:
  HttpClient http_;
  Endpoint api_;
};

}  // namespace grove
