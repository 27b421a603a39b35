// The name of a checkpoint: its folder relative to ckpt_root and its file name.
// Everything that comes from outside passes through parse() before it touches a path.
// Format: docs/formats.md#identity. Threads: values.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"

namespace grove {

class CheckpointKey {
 public:
  // Parses an identity: folder components and a file name, joined by "/"
  // ("run1/step_100/model.safetensors"; the folder may be empty).
  // Fails: invalid for an empty, absolute or over-long one, "." or ".." or empty components,
  // NUL and control characters, text that is not UTF-8.
  static Result<CheckpointKey> parse(std::string_view identity);

  std::string const& identity() const { return identity_; }
  // "run1/step_100"; empty for a file in ckpt_root itself.
  std::string_view folder() const;
  // "model.safetensors"
  std::string_view file_name() const;
  // ".safetensors"; with the dot, empty where there is none.
  std::string_view extension() const;
  bool is_safetensors() const { return extension() == ".safetensors"; }
  // "run1/step_100" as people are shown it; the file name for a file in ckpt_root itself.
  std::string_view display() const;
  // SHA-256 of the identity: the name of its folder on a worker.
  Digest digest() const { return sha256(identity_); }

  friend bool operator==(CheckpointKey const&, CheckpointKey const&) = default;
  friend auto operator<=>(CheckpointKey const&, CheckpointKey const&) = default;

 private:
  explicit CheckpointKey(std::string identity) : identity_(std::move(identity)) {}
  std::string identity_;
};

}  // namespace grove
