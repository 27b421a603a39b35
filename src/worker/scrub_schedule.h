// When a worker re-reads what it holds without being asked: so that every chunk is read within
// `scrub_every`, the oldest first, slowly (worker/scrub_pace.h). What was read last when is known
// from the chunks themselves (store/scrubber.h), so a restart costs nothing. Threads: the worker's
// executor; the reading is offloaded.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "worker/holdings.h"

namespace grove {

// What is older than this is due: three quarters of the period, the last one being for the reading.
std::chrono::milliseconds due_age(std::chrono::milliseconds scrub_every);

// Whether what was proven then is in the last tenth of its period, or beyond: a worker that is busy
// without end must read it all the same. Pure.
bool is_near_deadline(std::chrono::milliseconds scrub_every, std::optional<std::int64_t> proven_ms,
                      std::int64_t now_ms);

// How long until something is due, at most a quarter of the period, in which younger things may
// come with old chunks; at least `limits::scrub_look_period` where that is less. Pure.
std::chrono::milliseconds next_look(std::chrono::milliseconds scrub_every,
                                    std::optional<std::int64_t> oldest_ms, std::int64_t now_ms);

// Runs until it is cancelled.
Awaitable<void> scrub_on_schedule(Holdings& holdings);

}  // namespace grove
