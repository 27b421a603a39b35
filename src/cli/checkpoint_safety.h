// grove status --ckpt-path: whether a checkpoint's file may be deleted, for scripts that are about
// to. Safe means that the newest complete generation is, and that it is of the file as it is now:
// of its size and mtime, or of its content. A file that was written since is not stored. Threads:
// main.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace grove {

struct Safety {
  bool is_safe = false;
  bool is_final = false;    // waiting does not help: it is lost, was forgotten on purpose, or
                            // neither stored nor there
  bool is_pending = false;  // the coordinator still reads the file: ask again
  std::string words;
};

// Of a document of GET /checkpoints?ckpt_path=. Pure.
Safety safety_of(nlohmann::json const& document);

// Prints the words, with --wait whenever they change; an API that is away is waited for then, too.
// The exit status: 0 safe, 1 not, 130 Ctrl-C.
int show_safety(ConfigPath const& config, StatusOptions const& options);

}  // namespace grove
