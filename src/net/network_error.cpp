#include "net/network_error.h"

#include <cctype>

namespace grove {
namespace {

// The system's texts begin with a capital, which does not belong in the middle of a sentence.
std::string cause(error_code error) {
  auto text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

bool is_protocol_error(error_code error) {
  return error.category() == error_code(http::error::bad_method).category() ||
         error == asio::error::no_buffer_space;
}

}  // namespace

Error network_error(error_code error, std::string_view where, std::chrono::milliseconds timeout) {
  if (error == asio::error::operation_aborted) {
    return fail(ErrorKind::cancelled, "{}: cancelled", where);
  }
  if (error == asio::error::timed_out) {
    std::chrono::duration<double> const seconds = timeout;
    return fail(ErrorKind::unavailable, "{}: no answer within {:g} s", where, seconds.count());
  }
  if (error == asio::error::eof || error == http::error::partial_message ||
      error == http::error::end_of_stream) {
    return fail(ErrorKind::unavailable, "{}: connection closed in the middle", where);
  }
  if (is_protocol_error(error)) {
    return fail(ErrorKind::internal, "{}: not valid HTTP: {}", where, cause(error));
  }
  return fail(ErrorKind::unavailable, "{}: {}", where, cause(error));
}

}  // namespace grove
