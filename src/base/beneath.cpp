#include "base/beneath.h"

#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace grove {

namespace {

namespace fs = std::filesystem;

// openat2 answers EAGAIN when a rename elsewhere races with its check; that passes at once.
constexpr int resolve_tries_max = 16;

int openat_retrying(int folder, char const* name, int flags) {
  return without_interruption([&] { return ::openat(folder, name, flags | O_CLOEXEC); });
}

Error leads_out(fs::path const& root, fs::path const& relative) {
  return fail(ErrorKind::invalid, "{} leads out of {}", printable((root / relative).native()),
              printable(root.native()));
}

Result<fs::path> without_links(fs::path const& path) {
  std::unique_ptr<char, decltype(&::free)> const resolved(::realpath(path.c_str(), nullptr),
                                                          &::free);
  if (resolved == nullptr) return file_error("open", path, errno);
  return fs::path(resolved.get());
}

// For what openat2 cannot say: a link that is absolute, or that leaves `root` and comes back, may
// still end inside. The links are resolved by name first; then the resolved path, which has none
// left, is walked from `root_folder` following none, so that a link put there meanwhile is refused.
Result<Descriptor> walk_canonical(Descriptor root_folder, fs::path const& root,
                                  fs::path const& relative) {
  fs::path const path = root / relative;
  TRY(auto const real_root, without_links(root));
  TRY(auto const real_path, without_links(path));
  auto const [rest_of_root, first] =
      std::mismatch(real_root.begin(), real_root.end(), real_path.begin(), real_path.end());
  // "/" has its own component; any other root ends in a name.
  if (rest_of_root != real_root.end()) return leads_out(root, relative);
  std::vector<fs::path> const names(first, real_path.end());
  Descriptor folder = std::move(root_folder);
  for (std::size_t index = 0; index + 1 < names.size(); ++index) {
    Descriptor next(
        openat_retrying(folder.get(), names[index].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (next.get() < 0) return file_error("open", path, errno);
    folder = std::move(next);
  }
  char const* const last = names.empty() ? "." : names.back().c_str();
  return only_regular(openat_retrying(folder.get(), last, read_flags | O_NOFOLLOW), path);
}

}  // namespace

Result<Descriptor> resolve_beneath(Descriptor root_folder, fs::path const& root,
                                   fs::path const& relative) {
  if (relative.is_absolute()) return leads_out(root, relative);
  if (std::find(relative.begin(), relative.end(), "..") != relative.end()) {
    return fail(ErrorKind::invalid, "cannot open {} beneath {}: it has \"..\" in it",
                printable(relative.native()), printable(root.native()));
  }
  if (relative.native().find('\0') != std::string::npos) {
    return fail(ErrorKind::invalid, "cannot open {} beneath {}: it has a NUL in it",
                printable(relative.native()), printable(root.native()));
  }
  fs::path const path = root / relative;
  struct open_how how {};
  how.flags = read_flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  for (int tries = 0; tries < resolve_tries_max; ++tries) {
    fd = without_interruption([&] {
      return ::syscall(SYS_openat2, root_folder.get(), relative.c_str(), &how, sizeof how);
    });
    if (fd >= 0 || errno != EAGAIN) break;
  }
  // ENOSYS: a kernel before 5.6. EPERM: a sandbox that does not know the call.
  if (fd < 0 && (errno == EXDEV || errno == ENOSYS || errno == EPERM || errno == EAGAIN)) {
    return walk_canonical(std::move(root_folder), root, relative);
  }
  return only_regular(static_cast<int>(fd), path);
}

}  // namespace grove
