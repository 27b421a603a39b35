#include "plan/delta_trust.h"

#include "base/error.h"

namespace grove {

void DeltaTrust::note(std::size_t tensor, DeltaOutcome outcome) {
  GROVE_ASSERT(tensor < streaks_.size());
  // Others of this tensor may still be on their way when it is given up.
  if (!allows(tensor)) {
    return;
  }
  Streaks& streaks = streaks_[tensor];
  switch (outcome) {
    case DeltaOutcome::sent:
      streaks = {};
      refusals_of_all_ = 0;
      return;
    case DeltaOutcome::refused:
      ++streaks.refusals;
      streaks.unprofitable = 0;  // it was small enough to be sent
      ++refusals_of_all_;
      return;
    case DeltaOutcome::no_profit:
      ++streaks.unprofitable;
      return;
  }
}

bool DeltaTrust::allows(std::size_t tensor) const {
  GROVE_ASSERT(tensor < streaks_.size());
  return refusals_of_all_ < refusals_of_all_max && !is_over(streaks_[tensor]);
}

}  // namespace grove
