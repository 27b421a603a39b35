// Where refs, tombstones and pins lie in a data folder, and how they are read at start.
//   refs/<sha256 of the identity>/<generation>/<name>.json  tombstones/<sha256 of the
//   identity>.json  pins/<sha256 of the identity>.json
// A file that does not parse, or that lies where another belongs, goes to quarantine with a log
// line: the copy it spoke of counts as lost, and the worker starts.
// Threads: free functions; blocks on the disk.
#pragma once

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "format/key.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "store/data_folder.h"

namespace grove {

std::filesystem::path ref_path(DataFolder const& folder, CheckpointKey const& key,
                               Generation generation, RefName const& name);
std::filesystem::path tombstone_path(DataFolder const& folder, CheckpointKey const& key);
std::filesystem::path pin_path(DataFolder const& folder, CheckpointKey const& key);

// Fails: as base/file.h does for what cannot be read though it is not damaged.
Result<std::vector<Ref>> load_refs(DataFolder const& folder);
Result<std::vector<Tombstone>> load_tombstones(DataFolder const& folder);
// What one file in trash/ was, if it was a ref. Fails: invalid, or as base/file.h.
Result<Ref> read_trashed_ref(std::filesystem::path const& path);
// Removes the ref from trash/, where it lies there.
Result<void> drop_trashed_ref(DataFolder const& folder, Ref const& ref);

Result<std::vector<Pin>> load_pins(DataFolder const& folder);

// Reads the file of this ref again, from the disk: whether it still says so. One that is damaged
// goes to quarantine.
Result<bool> reread_ref_file(DataFolder const& folder, Ref const& ref);

// Moves the file of a ref to trash/ and removes folders of refs/ that are empty then. Durable.
// Removing what is not there is fine.
Result<void> trash_ref(DataFolder const& folder, CheckpointKey const& key, Generation generation,
                       RefName const& name);

}  // namespace grove
