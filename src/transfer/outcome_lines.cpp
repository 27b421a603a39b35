#include "transfer/outcome_lines.h"

#include <utility>

#include "base/bytes.h"
#include "base/limits.h"

namespace grove {
namespace {

// An outcome is two digests' worth of text and a sentence; a line beyond this is not one.
constexpr std::size_t outcome_line_bytes_max = 64 * limits::kib;

}  // namespace

Result<void> OutcomeLines::take(std::span<std::byte const> bytes) {
  line_.append(text_of(bytes));
  std::size_t begin = 0;
  for (std::size_t end = line_.find('\n'); end != std::string::npos;
       end = line_.find('\n', begin)) {
    TRY(take_line(std::string_view(line_).substr(begin, end - begin)));
    begin = end + 1;
  }
  line_.erase(0, begin);
  if (line_.size() > outcome_line_bytes_max) {
    return fail(ErrorKind::internal, "pull: a line longer than {} bytes", outcome_line_bytes_max);
  }
  return ok();
}

std::vector<PullOutcome> OutcomeLines::outcomes(std::span<WantedChunk const> wanted,
                                                Error const& error) const {
  std::vector<PullOutcome> outcomes;
  outcomes.reserve(wanted.size());
  for (auto const& [digest, base] : wanted) {
    auto const known = known_.find(digest);
    outcomes.push_back({.chunk = digest, .error = known == known_.end() ? error : known->second});
  }
  return outcomes;
}

Result<void> OutcomeLines::take_line(std::string_view line) {
  if (line.find_first_not_of(" \r") == std::string_view::npos) return ok();  // a heartbeat
  TRY(auto outcome, parse_outcome(line));
  known_.insert_or_assign(outcome.chunk, std::move(outcome.error));
  return ok();
}

}  // namespace grove
