// How every failure travels in grove: as a value with a kind and one sentence.
//
// A kind tells the caller what to do (see the table below); the message tells a person what failed,
// where, why and what to do about it: "what failed: where: cause; what to do", one sentence, no
// newline. Context is added once, by whoever knows the "where".
// Bugs are not errors: they abort through GROVE_ASSERT, which is on in every build.
// Not here: HTTP status codes (net/http_server.h translates a kind once, at the border).
// Threads: values; no shared state.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>
#include <fmt/format.h>

namespace grove {

enum class ErrorKind {
  invalid,      // fix the request; never retry
  not_found,    // treat as absent
  conflict,     // start again from the request
  corrupt,      // never this copy again: use the other one, queue a repair
  unavailable,  // back off and retry, or ask another holder
  exhausted,    // disk full or a limit reached: stop, tell a human
  cancelled,    // shutdown, or the client left: unwind, say nothing
  internal,     // a peer broke the protocol, or our own impossible case
};

// The kind's name as it stands in JSON and logs ("not_found").
std::string_view to_string(ErrorKind kind);

// The kind of that name; `internal` for a name this version does not know.
ErrorKind parse_error_kind(std::string_view name);

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;

  friend bool operator==(Error const&, Error const&) = default;
};

// True where the same call may succeed later without anybody changing anything.
constexpr bool is_retryable(ErrorKind kind) {
  return kind == ErrorKind::unavailable;
}

template <typename T = void>
using Result = boost::outcome_v2::basic_result<T, Error, boost::outcome_v2::policy::terminate>;

// Makes an Error from a format string: `return fail(ErrorKind::invalid, "{}: no such key", name);`
template <typename... Args>
[[nodiscard]] Error fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error{kind, fmt::format(format, std::forward<Args>(args)...)};
}

// Foreign text (a path, a key, a name) as it may stand in a message: valid UTF-8 on one line, with
// control characters and bytes that are not UTF-8 written as \xNN.
std::string printable(std::string_view text);

// The success value of a Result<void>.
[[nodiscard]] inline auto ok() {
  return boost::outcome_v2::success();
}

[[noreturn]] void assertion_failed(char const* condition, char const* file, int line);

}  // namespace grove

// TRY(auto value, expression) declares `value` or returns the error; TRY(expression) only checks.
// CO_TRY is the same inside a coroutine.
#define TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
#define CO_TRY(...) BOOST_OUTCOME_CO_TRY(__VA_ARGS__)

#define GROVE_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::grove::assertion_failed(#condition, __FILE__, __LINE__))
