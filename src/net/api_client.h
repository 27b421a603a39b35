// A client of an API that answers in JSON and in lines of text: the coordinator's, as the commands
// and the watcher use it. Not here: what they ask for.
// Threads: the event loop that it is used on.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/asio.h"
#include "net/http_client.h"

namespace grove {

class ApiClient {
 public:
  ApiClient(asio::any_io_executor executor, Endpoint api);

  // Calls (POST) and hands each line of the answer, without its newline, to `on_line` as it comes.
  // Fails: unavailable (no API there; the message says how to start one), or what the API said.
  Awaitable<Result<void>> stream_lines(std::string target,
                                       std::function<void(std::string_view)> on_line,
                                       http::verb method = http::verb::post);

  // PUTs a JSON document, which must live until the call returns; gives back the answer.
  Awaitable<Result<std::string>> put(std::string target, std::string_view json);

  // GETs a JSON document; the API may take `work_time` longer than usual for it.
  Awaitable<Result<std::string>> get(std::string target, std::chrono::milliseconds work_time = {});

 private:
  HttpClient http_;
  Endpoint api_;
};

}  // namespace grove
