// All workers asked side by side to prove something, and a text of lines about it as it is
// streamed: a progress line whenever none came for limits::progress_period, and a last one.
// Threads: the coordinator's executor.
#pragma once

#include <cstddef>
#include <string>

#include "base/config.h"
#include "coordinator/members.h"
#include "net/http_responder.h"
#include "net/signal.h"
#include "net/task_group.h"

namespace grove {

class Verification {
 public:
  // `services` must outlive it.
  Verification(Services& services, Config config);
  virtual ~Verification() = default;

  // Returns when all was said, or when the client went away: then the workers stop reading.
  Awaitable<Result<void>> stream(HttpResponder& responder);

 protected:
  // Asks one worker, by its index in the config.
  virtual Awaitable<void> verify(std::size_t index) = 0;
  // "Done: …" or "ERROR: …", once all were asked.
  virtual std::string last_line() const = 0;

  void add_line(std::string_view line);
  Config const& config() const { return config_; }

  Services& services_;

 private:
  Awaitable<void> verify_and_count(std::size_t index);
  Awaitable<Result<void>> stream_lines(HttpResponder& responder);

  Config config_;
  Signal changed_;
  std::string pending_;
  std::size_t ended_count_ = 0;
};

}  // namespace grove
