// Takes a .safetensors header apart as a stream and shows each entry to a visitor: what reading
// the layout and writing a shard's header have in common. A legal header may be 100 MB with
// millions of tensors, so nothing is kept but the entry at hand.
// Checked here: every rule that concerns the header's length, its JSON or one entry alone
// (docs/formats.md#safetensors). Not here: rules between tensors, duplicate names
// (format/safetensors.cpp). Threads: pure; reader and visitor are called on the caller's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "format/safetensors.h"

namespace grove {

// One checked tensor. The views live until the visitor returns.
struct TensorEntry {
  std::string_view name;
  std::string_view dtype;  // one of the 22
  TensorSpan span;
  std::uint64_t name_end = 0;  // file offset behind the name in the header, for messages
};

// Called in the header's order. An error ends the visit and is passed on as it is.
class HeaderVisitor {
 public:
  HeaderVisitor() = default;
  HeaderVisitor(HeaderVisitor const&) = delete;
  HeaderVisitor& operator=(HeaderVisitor const&) = delete;
  virtual ~HeaderVisitor() = default;

  // Before all others: the JSON is `json_bytes` long, padding included.
  virtual Result<void> begin(std::uint64_t json_bytes) = 0;

  virtual Result<void> begin_metadata() = 0;
  virtual Result<void> metadata(std::string_view key, std::string_view value,
                                std::uint64_t key_end) = 0;
  virtual Result<void> end_metadata() = 0;

  // The sizes of one tensor's shape, then the tensor itself.
  virtual void dimension(std::uint64_t size) = 0;
  virtual Result<void> tensor(TensorEntry const& entry) = 0;
};

// Reads a header from `reader`, which starts at offset 0 of a file of `file_bytes`, and nothing
// behind it. Returns the length of the JSON. Fails: `broken_rule` with a message that says which
// rule and where; errors of reader and visitor are passed on.
Result<std::uint64_t> visit_header(ByteReader const& reader, std::uint64_t file_bytes,
                                   HeaderVisitor& visitor, ErrorKind broken_rule);

}  // namespace grove
