// The answer to one request: whole, or streamed. Lives as long as the handler's call.
// Every failure means that the client is gone or does not listen: cancelled (it left, or we stop)
// or unavailable (it took no byte for the write timeout). Unwind; nothing can be said any more.
// Threads: the connection's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/asio.h"
#include "net/connection.h"

namespace grove {

class HttpResponder {
 public:
  struct Terms {
    bool is_http_1_0 = false;  // knows no chunks: streams end with the connection
    std::chrono::milliseconds write_timeout;
    // Asked once, when the head is sent: may another request follow on this connection?
    std::function<bool()> may_keep_alive;
  };
  HttpResponder(Connection& connection, Terms terms);
  HttpResponder(HttpResponder const&) = delete;
  HttpResponder& operator=(HttpResponder const&) = delete;

  using Headers = std::vector<std::pair<std::string, std::string>>;

  // One whole answer. `bytes` must live until the await returns.
  Awaitable<Result<void>> send(unsigned status, std::string_view content_type,
                               std::span<std::byte const> bytes);
  // For convenience: text and JSON answers.
  Awaitable<Result<void>> send_text(unsigned status, std::string content_type, std::string text);

  // A streamed answer: start, any number of writes, finish. With a content length the body has
  // exactly that many bytes; without, it is chunked and each write reaches the client at once.
  // `headers` are extra ones (Content-Range, Accept-Ranges), without line breaks.
  Awaitable<Result<void>> start(unsigned status, std::string_view content_type,
                                std::optional<std::uint64_t> content_length, Headers headers);
  Awaitable<Result<void>> write(std::span<std::byte const> bytes);
  Awaitable<Result<void>> write_text(std::string text);
  Awaitable<Result<void>> finish();
  bool has_started() const { return has_started_; }
  // Of the body, handed to the kernel so far.
  std::uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  friend class HttpSession;

  enum class Framing { known_length, chunked, until_close };

  std::string head(unsigned status, std::string_view content_type,
                   std::optional<std::uint64_t> content_length, Headers const& headers);
  Awaitable<Result<void>> transmit(Connection::Parts parts);
  // The whole answer is on its way, and the connection may carry another.
  bool is_finished() const { return is_finished_; }
  bool keeps_alive() const { return keeps_alive_; }

  Connection& connection_;
  Terms terms_;
  Framing framing_ = Framing::known_length;
  std::uint64_t rest_ = 0;  // of a body of known length
  std::uint64_t bytes_sent_ = 0;
  bool has_started_ = false;
  bool is_finished_ = false;
  bool keeps_alive_ = false;
};

}  // namespace grove
