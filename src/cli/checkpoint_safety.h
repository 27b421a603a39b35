// grove status --ckpt-path: whether a checkpoint's file may be deleted, for scripts that are about
// to. Safe means that the newest complete generation is, and that it has the file's size and mtime:
// a file that was written since is not stored. Threads: main.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace grove {

struct Safety {
  bool is_safe = false;
  bool is_final = false;  // waiting does not help: it is lost, or was forgotten on purpose
  std::string words;
};

// Of a document of GET /checkpoints?ckpt_path=. Pure.
Safety safety_of(nlohmann::json const& document);

// Prints the words, with --wait whenever they change. The exit status: 0 safe, 1 not, 130 Ctrl-C.
int show_safety(ConfigPath const& config, StatusOptions const& options);

}  // namespace grove
