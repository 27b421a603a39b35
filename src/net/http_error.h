// How an Error looks over HTTP: the status of its kind and the JSON body.
// Threads: pure functions.
#pragma once

#include <string>

#include "base/error.h"

namespace grove {

// The HTTP status of an error kind: invalid 400, not_found 404, conflict 409, corrupt 422,
// unavailable 503, exhausted 507, others 500.
unsigned error_status(ErrorKind kind);

// {"detail": "<message>", "kind": "<kind>"}
std::string error_body(Error const& error);

}  // namespace grove
