#include "store/scrubber.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/wall_clock.h"

namespace grove {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

class Scrub {
 public:
  // What was proven since then, and not in the time to come (a clock that was wrong), is left
  // alone.
  Scrub(ChunkStore& chunks, RefStore& refs, std::int64_t since_ns, ScrubGate const& keep_going)
      : chunks_(chunks), refs_(refs), since_ns_(since_ns), keep_going_(keep_going) {}

  Result<ScrubReport> run(ScrubWanted const& is_wanted) {
    TRY(auto due, find_due(is_wanted));
    std::ranges::stable_sort(due, {}, &Due::proven_ns);
    auto const began_ms = wall_clock_ms();
    for (auto const& [ref, proven_ns] : due) {
      if (!report_.is_whole) break;
      report_.reading_ms = proven_ns / ns_per_ms;
      TRY(auto const outcome, verify(ref));
      if (!outcome) report_.is_whole = false;
    }
    // What was due has been read by now, or is not here.
    auto const left_ms = report_.is_whole ? oldest_not_due_ms_ : report_.oldest_ms;
    if (report_.oldest_ms) report_.oldest_left_ms = left_ms.value_or(began_ms);
    return std::move(report_);
  }

  Result<std::optional<bool>> verify(Ref const& ref) {
    TRY(auto const is_ref_sound, refs_.reread_file(ref));
    if (!is_ref_sound) {
      report_.damaged.push_back(ref.target);
      note_missing(1);
      return std::optional(false);
    }
    auto const reached = refs_.reach_on_disk(ref);
    if (!reached) {
      TRY(note_damage(ref, reached.error()));
      note_missing(1);
      refs_.mark_reread(ref, std::nullopt);
      return std::optional(false);
    }
    bool is_read_whole = true;
    std::uint64_t missing_count = 0;
    auto oldest_ns = wall_clock_ns();
    for (auto const& chunk : reached.value().chunks) {
      if (is_fresh(chunk.digest)) {
        is_read_whole = is_read_whole && read_.contains(chunk.digest);
      } else {
        if (!keep_going_(report_)) return std::optional<bool>();
        TRY(auto const is_chunk_good, verify(chunk.digest));
        if (!is_chunk_good) ++missing_count;
      }
      oldest_ns = std::min(oldest_ns, chunks_.proven_ns(chunk.digest).value_or(oldest_ns));
    }
    if (missing_count > 0) {
      note_missing(missing_count);
      refs_.mark_reread(ref, std::nullopt);
      return std::optional(false);
    }
    auto const oldest_ms = oldest_ns / ns_per_ms;
    if (is_read_whole) {
      refs_.mark_reread(ref, oldest_ms);
    } else {
      refs_.mark_verified(ref, oldest_ms);
    }
    ++report_.refs_verified;
    return std::optional(true);
  }

 private:
  struct Due {
    Ref ref;
    std::int64_t proven_ns = 0;  // its oldest chunk
  };

  Result<std::vector<Due>> find_due(ScrubWanted const& is_wanted) {
    std::vector<Due> due;
    for (auto const& ref : refs_.all_refs()) {
      if (!is_wanted()) {
        report_.is_whole = false;
        return due;
      }
      auto const reached = refs_.reach(ref);
      if (!reached) {
        TRY(note_damage(ref, reached.error()));
        due.push_back({ref, 0});
        continue;
      }
      // The manifest of an opaque file leads to none: nothing tells when it was read, and it is
      // soon read.
      if (reached.value().chunks.empty()) {
        due.push_back({ref, wall_clock_ns()});
        continue;
      }
      bool is_due = false;
      bool is_here = true;
      auto oldest_ns = wall_clock_ns();
      for (auto const& chunk : reached.value().chunks) {
        auto const proven_ns = chunks_.proven_ns(chunk.digest);
        is_here = is_here && proven_ns;
        is_due = is_due || !is_fresh(proven_ns);
        if (proven_ns) oldest_ns = std::min(oldest_ns, *proven_ns);
      }
      auto const oldest_ms = oldest_ns / ns_per_ms;
      refs_.mark_verified(ref, is_here ? std::optional(oldest_ms) : std::nullopt);
      report_.oldest_ms = std::min(report_.oldest_ms.value_or(oldest_ms), oldest_ms);
      if (is_due) {
        due.push_back({ref, oldest_ns});
      } else {
        oldest_not_due_ms_ = std::min(oldest_not_due_ms_.value_or(oldest_ms), oldest_ms);
      }
    }
    return due;
  }

  bool is_fresh(Digest const& digest) const { return is_fresh(chunks_.proven_ns(digest)); }
  bool is_fresh(std::optional<std::int64_t> proven_ns) const {
    return proven_ns && *proven_ns >= since_ns_ && *proven_ns <= wall_clock_ns();
  }

  void note_missing(std::uint64_t count) {
    ++report_.refs_not_whole;
    report_.missing_count += count;
  }

  Result<bool> verify(Digest const& digest) {
    auto const bytes = chunks_.verify(digest);
    if (bytes) {
      ++report_.chunks_read;
      report_.bytes_read += bytes.value();
      read_.insert(digest);
      return true;
    }
    if (bytes.error().kind == ErrorKind::corrupt) {
      ++report_.chunks_read;
      report_.damaged.push_back(digest);
    }
    TRY(check_damage(bytes.error()));
    return false;
  }

  // Of what a ref names itself. It is found once: in quarantine it is not found any more.
  Result<void> note_damage(Ref const& ref, Error const& error) {
    if (error.kind == ErrorKind::corrupt) report_.damaged.push_back(ref.target);
    return check_damage(error);
  }

  // A full table of open files says nothing about a chunk.
  static Result<void> check_damage(Error const& error) {
    bool const is_damage = error.kind == ErrorKind::corrupt || error.kind == ErrorKind::not_found ||
                           error.kind == ErrorKind::invalid;
    if (is_damage) return ok();
    return error;
  }

  ChunkStore& chunks_;
  RefStore& refs_;
  std::int64_t since_ns_;
  ScrubGate const& keep_going_;
  ScrubReport report_;
  std::optional<std::int64_t> oldest_not_due_ms_;
  // By this pass: a chunk that was put meanwhile is as young, and was not read from the disk.
  std::unordered_set<Digest> read_;
};

}  // namespace

Result<ScrubReport> scrub(ChunkStore& chunks, RefStore& refs, ScrubScope scope,
                          ScrubGate const& keep_going, ScrubWanted const& is_wanted) {
  // All: what this pass has read itself it reads once.
  auto const since_ns =
      scope.unverified_since_ms ? *scope.unverified_since_ms * ns_per_ms : wall_clock_ns();
  return Scrub(chunks, refs, since_ns, keep_going).run(is_wanted);
}

Result<std::optional<bool>> reread(ChunkStore& chunks, RefStore& refs, Ref const& ref,
                                   ScrubGate const& keep_going) {
  return Scrub(chunks, refs, wall_clock_ns(), keep_going).verify(ref);
}

}  // namespace grove
