// The outcomes of one pull as they come in, line by line, whatever the pieces they come in.
// Not here: what a line holds (transfer/worker_messages.h). Threads: values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "transfer/worker_messages.h"

namespace grove {

class OutcomeLines {
 public:
  // Fails: invalid (no outcome), internal (a line that is too long to be one), or with the error of
  // a line that says that the whole call failed.
  Result<void> take(std::span<std::byte const> bytes);
  // Those asked for, in order; what has no outcome gets `error`.
  std::vector<PullOutcome> outcomes(std::span<WantedChunk const> wanted, Error const& error) const;

 private:
  Result<void> take_line(std::string_view line);

  std::string line_;
  std::unordered_map<Digest, std::optional<Error>> known_;
};

}  // namespace grove
