#include "net/http_error.h"

#include <nlohmann/json.hpp>

namespace grove {

unsigned error_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return 400;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
      return 409;
    case ErrorKind::corrupt:
      return 422;
    case ErrorKind::unavailable:
      return 503;
    case ErrorKind::exhausted:
      return 507;
    case ErrorKind::cancelled:
    case ErrorKind::internal:
      break;
  }
  return 500;
}

std::string error_body(Error const& error) {
  nlohmann::ordered_json const body{{"detail", error.message}, {"kind", to_string(error.kind)}};
  // A message may quote a path or a header that is not UTF-8.
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace grove
