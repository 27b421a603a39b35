// The pins of one worker (format/ref.h): which checkpoints retention is to leave alone. Small files
// of their own, all of them in memory too. Format: docs/formats.md#pin. Threads: any; put() blocks
// on the disk.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "format/ref.h"
#include "store/data_folder.h"
#include "store/ref_index.h"

namespace grove {

class PinStore {
 public:
  // Reads all pins. Damaged files go to quarantine with a log line. `folder` must outlive it.
  static Result<std::unique_ptr<PinStore>> open(DataFolder const& folder);

  // Keeps it durably, unless a later one of the same identity is here. Idempotent.
  Result<void> put(Pin const& pin);
  // In the order of their keys.
  std::vector<Pin> all() const;
  // At most `count_max` of identities after `after` (none: from the start) that are wanted.
  std::vector<Pin> page(RefSelection const& wanted, std::optional<CheckpointKey> const& after,
                        std::size_t count_max) const;
  // Equal where two stores hold the same pins; all zeros without any.
  Digest digest() const;

 private:
  explicit PinStore(DataFolder const& folder) : folder_(folder) {}

  DataFolder const& folder_;
  std::mutex writing_;  // one put at a time, so that the later one is what stays
  mutable std::mutex mutex_;
  std::map<CheckpointKey, Pin> pins_;
};

}  // namespace grove
