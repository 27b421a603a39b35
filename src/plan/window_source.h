// Where one copy of a shard gets its next window of chunks from: the coordinator's file, or another
// copy that has it already. The decision behind "a byte crosses the coordinator's link once".
// Pure; transfer/push.h carries it out.
//
// A window is pulled from a copy that is past it. Otherwise one of the running copies leads: the
// one that is furthest, the lowest round among equals; it is sent the window from the file, and
// the others wait for it. A copy that fails stops leading at once, so the next one takes over.
#pragma once

#include <cstddef>
#include <span>

namespace grove {

enum class CopyPhase {
  running,  // an attempt is on its way
  waiting,  // between two attempts
  failed,   // for good
  done,     // has every window
};

struct CopyProgress {
  CopyPhase phase = CopyPhase::running;
  std::size_t windows_acked = 0;  // of this attempt: the first window it still lacks
};

enum class WindowAction { push, pull, wait };

struct WindowSource {
  WindowAction action = WindowAction::push;
  std::size_t pull_from = 0;  // index into `copies`; only for pull
  friend bool operator==(WindowSource const&, WindowSource const&) = default;
};

// For the copy `self` (which is running) and its next window, copies[self].windows_acked.
// `copies` are one shard's, ordered by round. Among several to pull from the one that is furthest.
WindowSource choose_window_source(std::span<CopyProgress const> copies, std::size_t self);

}  // namespace grove
