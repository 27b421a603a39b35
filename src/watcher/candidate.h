// Which names the watcher takes. Pure: files are not looked at.
// Not here: whether a file is complete (watched_files.h), where it belongs (plan/retention.h).
// Threads: values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace grove {

inline constexpr std::string_view default_extension = ".safetensors";

enum class NameKind {
  taken,
  merged,     // has a taken extension, but a name that gather gives what it writes
  temporary,  // hidden, or the name of something that somebody is still making
  other,      // not an extension that is watched
};

// `extensions` with their dots, as parse_extensions gives them. `relative` is a path below
// ckpt_root; one hidden or temporary folder in it makes it temporary.
NameKind kind_of_file(std::string_view relative, std::vector<std::string> const& extensions);

// Whether what lies in a folder of this name may be taken; of its last component only.
bool is_watched_folder(std::string_view name);

// ".safetensors,.pth" → the extensions, each once. Fails: invalid (an empty one, one without its
// dot or with a '/').
Result<std::vector<std::string>> parse_extensions(std::string_view text);

}  // namespace grove
