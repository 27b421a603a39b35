#include "format/key.h"

#include <cstddef>

#include "base/limits.h"
#include "format/text.h"

namespace grove {
namespace {

Result<void> check_component(std::string_view identity, std::string_view component) {
  if (component.empty()) {
    return fail(ErrorKind::invalid, "checkpoint name {}: empty part between slashes",
                shown(identity));
  }
  if (component == "." || component == "..") {
    return fail(ErrorKind::invalid, "checkpoint name {}: \"{}\" is not allowed in it",
                shown(identity), component);
  }
  if (component.size() > limits::name_bytes_max) {
    return fail(ErrorKind::invalid,
                "checkpoint name {}: the part {} is {} bytes long, a file name has at most {}",
                shown(identity), shown(component), component.size(), limits::name_bytes_max);
  }
  return ok();
}

std::size_t file_name_offset(std::string_view identity) {
  std::size_t const slash = identity.rfind('/');
  return slash == std::string_view::npos ? 0 : slash + 1;
}

}  // namespace

Result<CheckpointKey> CheckpointKey::parse(std::string_view identity) {
  if (identity.empty()) return fail(ErrorKind::invalid, "checkpoint name is empty");
  if (identity.size() > limits::identity_bytes_max) {
    return fail(ErrorKind::invalid, "checkpoint name {}: {} bytes long, at most {} are possible",
                shown(identity), identity.size(), limits::identity_bytes_max);
  }
  if (!is_plain_text(identity)) {
    return fail(ErrorKind::invalid, "checkpoint name {}: not UTF-8 text without control characters",
                shown(identity));
  }
  if (identity.front() == '/') {
    return fail(ErrorKind::invalid,
                "checkpoint name {}: absolute; it must be relative to the checkpoint root",
                shown(identity));
  }
  for (std::size_t begin = 0; begin <= identity.size();) {
    std::size_t const slash = identity.find('/', begin);
    std::size_t const end = slash == std::string_view::npos ? identity.size() : slash;
    TRY(check_component(identity, identity.substr(begin, end - begin)));
    begin = end + 1;
  }
  return CheckpointKey(std::string(identity));
}

std::string_view CheckpointKey::folder() const {
  std::size_t const offset = file_name_offset(identity_);
  return std::string_view(identity_).substr(0, offset == 0 ? 0 : offset - 1);
}

std::string_view CheckpointKey::file_name() const {
  return std::string_view(identity_).substr(file_name_offset(identity_));
}

std::string_view CheckpointKey::extension() const {
  std::string_view const name = file_name();
  std::size_t const dot = name.rfind('.');
  // A leading dot hides a file, it does not begin an extension.
  return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot);
}

std::string_view CheckpointKey::display() const {
  std::string_view const name_of_folder = folder();
  return name_of_folder.empty() ? file_name() : name_of_folder;
}

}  // namespace grove
