#include "base/mount.h"

#include <sys/stat.h>
#if defined(__linux__)
#include <sys/sysmacros.h>
#endif

#include <algorithm>
#include <cstddef>
#include <optional>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"

namespace grove {
namespace {

constexpr std::size_t option_size_max = 40;
constexpr std::size_t text_size_max = 200;
constexpr std::size_t mountinfo_size_max = 1 << 20;

// What is before the first `separator`, which goes from `text` with it; all of it where there is
// none.
std::string_view cut(std::string_view& text, std::string_view separator) {
  auto const end = std::min(text.find(separator), text.size());
  auto const first = text.substr(0, end);
  text.remove_prefix(std::min(end + separator.size(), text.size()));
  return first;
}

// Blanks and backslashes stand there as three octal digits: "\040".
std::string unescaped(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    auto const is_digit = [](char c) { return c >= '0' && c <= '7'; };
    bool const is_escape = text.size() >= 4 && text[0] == '\\' &&
                           std::all_of(text.begin() + 1, text.begin() + 4, is_digit);
    if (is_escape) {
      plain += static_cast<char>((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
      text.remove_prefix(4);
    } else {
      plain += text[0];
      text.remove_prefix(1);
    }
  }
  return plain;
}

struct Mount {
  std::string_view device;
  std::string place;
  std::string_view options;
  std::string_view type;
  std::string_view type_options;
};

// "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
std::optional<Mount> read_mount(std::string_view line) {
  auto after = line;
  auto before = cut(after, " - ");
  cut(before, " ");  // its number
  cut(before, " ");  // its parent's
  Mount mount;
  mount.device = cut(before, " ");
  cut(before, " ");  // the root of the mount within its file system
  mount.place = unescaped(cut(before, " "));
  mount.options = cut(before, " ");
  mount.type = cut(after, " ");
  cut(after, " ");  // its source
  mount.type_options = cut(after, " ");
  if (mount.place.empty() || mount.type.empty()) return std::nullopt;
  return mount;
}

bool lies_under(std::string_view path, std::string_view place) {
  if (place == "/") return path.starts_with('/');
  return path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
}

std::string text_of(Mount const& mount) {
  std::string text(mount.type);
  std::vector<std::string_view> told;
  for (auto options : {mount.options, mount.type_options}) {
    while (!options.empty()) {
      auto const option = cut(options, ",");
      bool const is_told = std::find(told.begin(), told.end(), option) != told.end();
      if (option.empty() || is_told || option.size() > option_size_max) continue;
      if (text.size() + 1 + option.size() > text_size_max) return text;
      text += told.empty() ? ' ' : ',';
      text += option;
      told.push_back(option);
    }
  }
  return text;
}

}  // namespace

std::string file_system_in(std::string_view mountinfo, std::string_view path,
                           std::string_view device) {
  std::optional<Mount> best;
  auto const is_better = [&](Mount const& mount) {
    if (!best) return true;
    bool const is_ours = mount.device == device;
    bool const best_is_ours = best->device == device;
    if (is_ours != best_is_ours) return is_ours;
    return mount.place.size() >= best->place.size();
  };
  while (!mountinfo.empty()) {
    auto mount = read_mount(cut(mountinfo, "\n"));
    if (mount && lies_under(path, mount->place) && is_better(*mount)) best = std::move(mount);
  }
  return best ? text_of(*best) : std::string();
}

std::string file_system_of(std::filesystem::path const& path) {
#if defined(__linux__)
  std::error_code error;
  auto const canonical = std::filesystem::canonical(path, error);
  if (error) return {};
  struct stat status {};
  if (::stat(canonical.c_str(), &status) != 0) return {};
  auto const device = fmt::format("{}:{}", major(status.st_dev), minor(status.st_dev));
  auto const file = File::open_readonly("/proc/self/mountinfo");
  if (file.has_error()) return {};
  std::string text(mountinfo_size_max, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    auto const rest = std::as_writable_bytes(std::span(text)).subspan(size);
    auto const count = file.value().read_at(rest, size);
    if (count.has_error() || count.value() == 0) break;
    size += count.value();
  }
  return file_system_in(std::string_view(text).substr(0, size), canonical.native(), device);
#else
  static_cast<void>(path);
  return {};
#endif
}

}  // namespace grove
