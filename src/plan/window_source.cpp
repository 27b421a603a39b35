#include "plan/window_source.h"

#include <limits>

#include "base/error.h"

namespace grove {

namespace {

// How many windows can be had from a copy. One between two attempts counts for none: its worker
// was last seen failing, and what it acknowledged may be gone with it.
std::size_t windows_to_give(CopyProgress const& copy) {
  switch (copy.phase) {
    case CopyPhase::running:
      return copy.windows_acked;
    case CopyPhase::done:
      return std::numeric_limits<std::size_t>::max();
    case CopyPhase::waiting:
    case CopyPhase::failed:
      return 0;
  }
  return 0;
}

}  // namespace

WindowSource choose_window_source(std::span<CopyProgress const> copies, std::size_t self) {
  GROVE_ASSERT(self < copies.size() && copies[self].phase == CopyPhase::running);
  std::size_t furthest = self;
  for (std::size_t index = 0; index < copies.size(); ++index) {
    if (windows_to_give(copies[index]) > windows_to_give(copies[furthest])) {
      furthest = index;
    }
  }
  if (furthest != self) {
    return {.action = WindowAction::pull, .pull_from = furthest};
  }
  // Nobody is past this copy. Among the running ones that are as far, the lowest round leads.
  for (std::size_t index = 0; index < self; ++index) {
    if (copies[index].phase == CopyPhase::running &&
        copies[index].windows_acked == copies[self].windows_acked) {
      return {.action = WindowAction::wait};
    }
  }
  return {.action = WindowAction::push};
}

}  // namespace grove
