#include "coordinator/own_id.h"

#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/random.h"

namespace grove {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t id_digits = 32;

std::string new_id() {
  return random_hex(id_digits / 2);
}

// The id that lies there, or a new one that lies there now.
Result<std::string> read_or_make(fs::path const& path) {
  if (auto const bytes = read_whole(path, id_digits); bytes.has_value()) {
    auto const text = text_of(bytes.value());
    bool const is_id = text.size() == id_digits &&
                       text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (is_id) return std::string(text);
  }
  auto id = new_id();
  TRY(write_durably(path, bytes_of(id)));
  return id;
}

}  // namespace

OwnId OwnId::take(fs::path const& folder, fs::path const& config_path) {
  std::error_code error;
  auto const resolved = fs::weakly_canonical(config_path, error);
  auto const name = sha256(error ? config_path.string() : resolved.string()).hex();
  auto const made = make_folders(folder);
  auto lock = made.has_value() ? FileLock::acquire(folder / (name + ".lock"))
                               : Result<FileLock>(made.error());
  if (lock.has_error()) {
    spdlog::warn("this coordinator is a new one to the workers: {}", lock.error().message);
    return OwnId(new_id(), std::nullopt);
  }
  auto id = read_or_make(folder / name);
  if (id.has_error()) {
    spdlog::warn("this coordinator is a new one to the workers: {}", id.error().message);
    return OwnId(new_id(), std::nullopt);
  }
  return OwnId(std::move(id).value(), Kept{.path = folder / name, .lock = std::move(lock).value()});
}

std::optional<fs::path> OwnId::file_beside(std::string_view name) const {
  if (!kept_) return std::nullopt;
  auto path = kept_->path;
  path += "." + std::string(name);
  return path;
}

}  // namespace grove
