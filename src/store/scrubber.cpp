#include "store/scrubber.h"

#include <unordered_map>

#include "base/wall_clock.h"

namespace grove {

namespace {

class Scrub {
 public:
  Scrub(ChunkStore& chunks, RefStore& refs, ScrubGate const& keep_going)
      : chunks_(chunks), refs_(refs), keep_going_(keep_going) {}

  Result<ScrubReport> run(std::vector<Ref> const& refs) {
    for (auto const& ref : refs) {
      TRY(auto const outcome, verify(ref));
      if (outcome == Outcome::stopped) {
        report_.is_whole = false;
        break;
      }
      if (outcome == Outcome::good) {
        refs_.mark_verified(ref, wall_clock_ms());
        ++report_.refs_verified;
      } else {
        refs_.mark_verified(ref, std::nullopt);
      }
    }
    return std::move(report_);
  }

 private:
  enum class Outcome { good, damaged, stopped };

  Result<Outcome> verify(Ref const& ref) {
    auto const reached = refs_.reach(ref);
    if (!reached) return damaged_unless_unreadable(reached.error());
    bool is_good = true;
    for (auto const& chunk : reached.value().chunks) {
      if (!keep_going_(report_)) return Outcome::stopped;
      TRY(auto const is_chunk_good, verify(chunk.digest));
      is_good = is_good && is_chunk_good;
    }
    return is_good ? Outcome::good : Outcome::damaged;
  }

  // Generations share chunks: each is read once.
  Result<bool> verify(Digest const& digest) {
    if (auto const known = seen_.find(digest); known != seen_.end()) return known->second;
    auto const bytes = chunks_.verify(digest);
    if (bytes) {
      ++report_.chunks_read;
      report_.bytes_read += bytes.value();
    } else {
      if (bytes.error().kind == ErrorKind::corrupt) {
        ++report_.chunks_read;
        report_.damaged.push_back(digest);
      }
      TRY(damaged_unless_unreadable(bytes.error()));
    }
    seen_.emplace(digest, bytes.has_value());
    return bytes.has_value();
  }

  // A full table of open files says nothing about a chunk.
  static Result<Outcome> damaged_unless_unreadable(Error const& error) {
    if (error.kind == ErrorKind::corrupt || error.kind == ErrorKind::not_found ||
        error.kind == ErrorKind::invalid) {
      return Outcome::damaged;
    }
    return error;
  }

  ChunkStore& chunks_;
  RefStore& refs_;
  ScrubGate const& keep_going_;
  std::unordered_map<Digest, bool> seen_;
  ScrubReport report_;
};

}  // namespace

Result<ScrubReport> scrub(ChunkStore& chunks, RefStore& refs, ScrubScope scope,
                          ScrubGate const& keep_going) {
  return Scrub(chunks, refs, keep_going)
      .run(scope.unverified_since_ms ? refs.unverified_refs(*scope.unverified_since_ms)
                                     : refs.all_refs());
}

}  // namespace grove
