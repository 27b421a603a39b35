// What `grove start -n N` does before it starts: waits for N joining workers and writes the config
// that has them. Threads: main; runs an event loop of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/error.h"

namespace grove {

struct IntakeOptions {
  std::filesystem::path config_path;               // written; what is there already is kept in it
  std::uint32_t workers_count = 0;                 // to wait for
  std::optional<std::filesystem::path> ckpt_root;  // of a config that is made now
};

// Announces this coordinator, takes joins on the master's port of the config (default 5000) until
// all are there, writes the config durably (an old one is kept as <config>.<time>.bak) and gives it
// to each. Fails: cancelled (Ctrl-C), conflict (the port is in use), as change_workers.
Result<void> take_workers_in(IntakeOptions const& options);

}  // namespace grove
