#include "coordinator/drill_scratch.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/random.h"
#include "coordinator/job_lines.h"
#include "format/text.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view prefix = ".grove-drill-";
constexpr std::size_t random_bytes_count = 8;
constexpr char const* lock_name = "lock";
// Another drill's sweep may take a folder between its creation and its lock; not so often in a row.
constexpr int create_tries_max = 16;

bool is_scratch_name(std::string_view name) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return name.size() == 2 * random_bytes_count &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Failures leave a folder for the next sweep; it may be another user's.
void sweep_abandoned(fs::path const& place) {
  auto const names = list_folder(place);
  if (names.has_error()) return;
  for (auto const& name : names.value()) {
    if (!is_scratch_name(name)) continue;
    auto const lock = FileLock::acquire(place / name / lock_name);
    if (lock.has_value()) std::ignore = remove_tree(place / name);
  }
}

bool lies_in(fs::path const& path, fs::path const& root) {
  std::error_code error;
  auto const inner = fs::weakly_canonical(path, error);
  if (error) return false;
  auto const outer = fs::weakly_canonical(root, error);
  if (error) return false;
  auto const [in_outer, in_inner] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return in_outer == outer.end();
}

bool is_folder(fs::path const& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

}  // namespace

Result<DrillScratch> DrillScratch::create_in(fs::path const& place) {
  for (int tries = 0; tries < create_tries_max; ++tries) {
    auto folder = place / (std::string(prefix) + random_hex(random_bytes_count));
    TRY(make_folder(folder));
    std::error_code ignored;  // each file in it has the mode of its source
    fs::permissions(folder, fs::perms::owner_all, ignored);
    auto lock = FileLock::acquire(folder / lock_name);
    if (lock.has_error()) {
      bool const was_swept =
          lock.error().kind == ErrorKind::conflict || lock.error().kind == ErrorKind::not_found;
      if (was_swept) continue;
      std::ignore = remove_tree(folder);  // the lock's error says what is wrong
      return std::move(lock).error();
    }
    // Where a sweep was faster, the lock is on a file that is gone.
    if (stamp_of(folder / lock_name).has_error()) continue;
    return DrillScratch(std::move(folder), std::move(lock).value());
  }
  return fail(ErrorKind::unavailable, "cannot make a folder in {}: it is being removed again",
              printable(place.native()));
}

Result<DrillScratch> DrillScratch::create(std::vector<fs::path> const& places,
                                          std::uint64_t bytes) {
  std::optional<Error> trouble;
  std::string too_small;
  for (auto const& place : places) {
    if (!is_folder(place)) continue;
    sweep_abandoned(place);
    auto const space = space_of(place);
    if (space.has_error()) {
      trouble = space.error();
    } else if (space.value().free_bytes < bytes) {
      too_small += fmt::format("{}{} ({} MB free)", too_small.empty() ? "" : ", ", place.string(),
                               lines::megabytes(space.value().free_bytes));
    } else {
      auto scratch = create_in(place);
      if (scratch.has_value()) return scratch;
      trouble = scratch.error();
    }
  }
  if (!too_small.empty()) {
    return fail(ErrorKind::exhausted,
                "no scratch folder has room for {} MB: {}; free some space or use scratch= (grove "
                "drill --scratch)",
                lines::megabytes(bytes), too_small);
  }
  if (trouble) return *trouble;
  return fail(ErrorKind::invalid,
              "there is no scratch folder; use scratch= (grove drill --scratch)");
}

Result<void> DrillScratch::remove() {
  return remove_tree(folder_);
}

Result<std::vector<fs::path>> scratch_places(Config const& config,
                                             std::optional<fs::path> const& asked) {
  if (asked) {
    if (!is_plain_text(asked->native())) {
      return fail(ErrorKind::invalid, "scratch contains control characters or is not UTF-8: {}",
                  printable(asked->native()));
    }
    if (!asked->is_absolute()) {
      return fail(ErrorKind::invalid, "scratch must be an absolute path: {}", asked->string());
    }
    if (!is_folder(*asked)) {
      return fail(ErrorKind::invalid, "{} is no folder; make it, or use another one as scratch",
                  asked->string());
    }
    if (lies_in(*asked, config.ckpt_root)) {
      return fail(ErrorKind::invalid, "{} lies in ckpt_root {}; use a scratch folder outside it",
                  asked->string(), config.ckpt_root.string());
    }
    return std::vector<fs::path>{*asked};
  }
  std::error_code error;
  std::vector<fs::path> places{config.shards_root, config.shards_root.parent_path(),
                               fs::temp_directory_path(error)};
  std::erase_if(places, [&](fs::path const& place) {
    return place.empty() || lies_in(place, config.ckpt_root) || !is_plain_text(place.native());
  });
  return places;
}

}  // namespace grove
