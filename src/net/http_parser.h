// Bytes → one HTTP/1.1 message: Beast's parser with its limits set, fed by hand, so that bodies
// land where the caller wants them. No sockets here: it is what the fuzzer feeds. Threads: one
// task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "net/asio.h"

namespace grove {

template <bool is_request>
class HttpParser {
 public:
  HttpParser();

  struct Step {
    error_code error;
    std::size_t used = 0;     // of the input
    std::size_t written = 0;  // to the output
  };

  // Takes bytes of the header; what is not used must come again with more behind it.
  // Fails: http::error::header_limit (limits::http_header_bytes_max) or what is wrong with it.
  Step put_head(std::span<std::byte const> in);
  bool has_head() const { return parser_.is_header_done(); }

  // After the head, for bodies without a length of their own (chunked, or up to the end of the
  // connection): takes coded bytes, gives body bytes. When it can use none, it needs more behind.
  Step put_body(std::span<std::byte const> in, std::span<std::byte> out);
  // The connection ended. Fails where the message had not.
  error_code put_end();
  bool is_done() const { return parser_.is_done(); }

  http::message<is_request, http::buffer_body> const& head() const { return parser_.get(); }
  bool keeps_alive() const { return parser_.keep_alive(); }
  bool is_chunked() const { return parser_.chunked(); }
  // The length of a body that is neither chunked nor ended by the connection; 0 without a body.
  std::optional<std::uint64_t> body_bytes() const;
  // The header of that name, if there is exactly one.
  std::optional<std::string_view> header(std::string_view name) const;

 private:
  http::parser<is_request, http::buffer_body> parser_;
  std::size_t head_bytes_ = 0;
};

extern template class HttpParser<true>;
extern template class HttpParser<false>;

}  // namespace grove
