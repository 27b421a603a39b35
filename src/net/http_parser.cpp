#include "net/http_parser.h"

#include <limits>

#include "base/limits.h"

namespace grove {
namespace {

error_code check_transfer_encoding(auto const& fields) {
  auto const coding = fields.find(http::field::transfer_encoding);
  // "gzip, chunked" too: we could not decode it, and guessing where it ends is how requests are
  // smuggled.
  if (coding != fields.end() && !beast::iequals(coding->value(), "chunked")) {
    return http::error::bad_transfer_encoding;
  }
  return {};
}

}  // namespace

template <bool is_request>
HttpParser<is_request>::HttpParser() {
  parser_.eager(false);
  parser_.header_limit(static_cast<std::uint32_t>(limits::http_header_bytes_max));
  parser_.body_limit(boost::none);  // who reads the body knows its limit
}

template <bool is_request>
auto HttpParser<is_request>::put_head(std::span<std::byte const> in) -> Step {
  Step step;
  step.used = parser_.put(asio::buffer(in.data(), in.size()), step.error);
  if (step.error == http::error::need_more) step.error = {};
  if (step.error) return step;
  // Beast takes whole fields as they come and applies its limit to the rest only.
  head_bytes_ += step.used;
  auto const pending = has_head() ? 0 : in.size() - step.used;
  if (head_bytes_ + pending > limits::http_header_bytes_max) {
    step.error = http::error::header_limit;
  } else if (has_head()) {
    step.error = check_transfer_encoding(parser_.get());
  }
  return step;
}

template <bool is_request>
auto HttpParser<is_request>::put_body(std::span<std::byte const> in, std::span<std::byte> out)
    -> Step {
  Step step;
  auto& body = parser_.get().body();
  body.data = out.data();
  body.size = out.size();
  while (step.used < in.size() && body.size > 0 && !parser_.is_done()) {
    auto const rest = in.subspan(step.used);
    auto const used = parser_.put(asio::buffer(rest.data(), rest.size()), step.error);
    step.used += used;
    if (step.error || used == 0) break;
  }
  step.written = out.size() - body.size;
  if (step.error == http::error::need_more || step.error == http::error::need_buffer) {
    step.error = {};
  }
  return step;
}

template <bool is_request>
error_code HttpParser<is_request>::put_end() {
  error_code error;
  if (!parser_.got_some()) return http::error::end_of_stream;
  parser_.put_eof(error);
  return error;
}

template <bool is_request>
std::optional<std::uint64_t> HttpParser<is_request>::body_bytes() const {
  if (parser_.is_done()) return 0;
  auto const length = parser_.content_length();
  if (!length || parser_.chunked()) return std::nullopt;
  return *length;
}

template <bool is_request>
std::optional<std::string_view> HttpParser<is_request>::header(std::string_view name) const {
  auto const& fields = parser_.get();
  auto const [first, last] = fields.equal_range(name);
  if (first == last || std::next(first) != last) return std::nullopt;
  auto const value = first->value();
  return std::string_view(value.data(), value.size());
}

template class HttpParser<true>;
template class HttpParser<false>;

}  // namespace grove
