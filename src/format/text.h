// Text that came from outside: is it what it claims to be, and how is it shown in a message.
// A hostile name must neither break a line of a log nor steer the terminal that shows it.
// Threads: pure.
#pragma once

#include <string>
#include <string_view>

namespace grove {

// True for well-formed UTF-8 (no surrogates, no over-long forms) without control characters
// (C0, DEL, C1).
bool is_plain_text(std::string_view text);

// `text` in double quotes for a message: quotes and backslashes are escaped, control characters
// and bytes that are not UTF-8 become \xNN, and what goes beyond 100 bytes becomes "…".
std::string shown(std::string_view text);

}  // namespace grove
