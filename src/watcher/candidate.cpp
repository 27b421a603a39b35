#include "watcher/candidate.h"

#include <algorithm>
#include <array>

namespace grove {
namespace {

// Words between dots by which programs mark what they are still writing, and the ends of editors'
// and trainers' own names ("tmp-checkpoint-500" is what Hugging Face's Trainer renames when done).
constexpr std::array<std::string_view, 6> temporary_words{"tmp",        "part", "partial",
                                                          "incomplete", "swp",  "crdownload"};
constexpr std::array<std::string_view, 4> temporary_beginnings{"tmp-", "tmp_", "~", "#"};

bool has_temporary_word(std::string_view name) {
  while (!name.empty()) {
    auto const dot = std::min(name.find('.'), name.size());
    auto const word = name.substr(0, dot);
    if (std::find(temporary_words.begin(), temporary_words.end(), word) != temporary_words.end()) {
      return true;
    }
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return false;
}

}  // namespace

bool is_watched_folder(std::string_view name) {
  if (name.empty() || name.starts_with('.') || name.ends_with('~')) return false;
  bool const begins_temporary =
      std::any_of(temporary_beginnings.begin(), temporary_beginnings.end(),
                  [&](std::string_view beginning) { return name.starts_with(beginning); });
  return !begins_temporary && !has_temporary_word(name);
}

NameKind kind_of_file(std::string_view relative, std::vector<std::string> const& extensions) {
  auto const slash = relative.rfind('/');
  auto const name = slash == relative.npos ? relative : relative.substr(slash + 1);
  auto const has_extension = [&](std::string const& extension) {
    return name.size() > extension.size() && name.ends_with(extension);
  };
  if (!std::any_of(extensions.begin(), extensions.end(), has_extension)) return NameKind::other;
  while (true) {
    auto const end = std::min(relative.find('/'), relative.size());
    // The rule of a folder's name is that of a file's.
    if (!is_watched_folder(relative.substr(0, end))) return NameKind::temporary;
    if (end == relative.size()) break;
    relative.remove_prefix(end + 1);
  }
  return name.starts_with("merged") ? NameKind::merged : NameKind::taken;
}

Result<std::vector<std::string>> parse_extensions(std::string_view text) {
  std::vector<std::string> extensions;
  while (true) {
    auto const comma = std::min(text.find(','), text.size());
    auto const extension = text.substr(0, comma);
    if (extension.size() < 2 || extension.front() != '.' || extension.ends_with('.') ||
        extension.find('/') != extension.npos) {
      return fail(ErrorKind::invalid,
                  "'{}' is no file extension; give them with their dots, such as .safetensors,.pth",
                  printable(extension));
    }
    if (std::find(extensions.begin(), extensions.end(), extension) == extensions.end()) {
      extensions.emplace_back(extension);
    }
    if (comma == text.size()) return extensions;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace grove
