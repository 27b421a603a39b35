// Opening a file of a user's folder without ever leaving that folder.
// Not here: what a path may look like as a checkpoint's key (format/key.h).
// Threads: any.
#pragma once

#include <filesystem>

#include "base/descriptor.h"
#include "base/error.h"

namespace grove {

// Opens the regular file `relative` for reading, beneath `root`, which is open as `root_folder`.
// The promise and the errors are those of File::open_beneath; `root` serves the messages and the
// links that are absolute.
Result<Descriptor> resolve_beneath(Descriptor root_folder, std::filesystem::path const& root,
                                   std::filesystem::path const& relative);

}  // namespace grove
