// Takes a .safetensors header apart as a stream and shows each entry to a visitor: what reading
// the layout and writing a shard's header have in common. A legal header may be 100 MB, with
// millions of tensors or all in one string, so nothing of it is kept but the numbers of the tensor
// at hand and the beginning of its name, for messages.
// Checked here: every rule that concerns the header's length, its JSON or one entry alone
// (docs/formats.md#safetensors). Not here: rules between tensors, duplicate names
// (format/safetensors.cpp). Threads: pure; reader and visitor are called on the caller's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "format/json_parser.h"
#include "format/safetensors.h"

namespace grove {

// Called in the header's order. An error ends the visit and is passed on as it is.
// The `end` of a name is the file offset behind it, for messages; it counts with the last part, and
// is a bound, a few KB more, where the name has escapes.
class HeaderVisitor {
 public:
  HeaderVisitor() = default;
  HeaderVisitor(HeaderVisitor const&) = delete;
  HeaderVisitor& operator=(HeaderVisitor const&) = delete;
  virtual ~HeaderVisitor() = default;

  // Before all others: the JSON is `json_bytes` long, padding included.
  virtual Result<void> begin(std::uint64_t json_bytes) = 0;

  virtual Result<void> begin_metadata() = 0;
  virtual Result<void> metadata_key(TextPart part, std::uint64_t end) = 0;
  virtual Result<void> metadata_value(TextPart part) = 0;
  virtual Result<void> end_metadata() = 0;

  // A tensor: its name, then its three fields in the header's order, then its end. Only there it is
  // known that the three agree.
  virtual Result<void> tensor_name(TextPart part, std::uint64_t end) = 0;
  virtual Result<void> dtype(std::string_view name) = 0;  // one of the 22
  virtual Result<void> begin_shape() = 0;
  virtual Result<void> dimension(std::uint64_t size) = 0;
  virtual Result<void> end_shape() = 0;
  virtual Result<void> data_offsets(TensorSpan span) = 0;
  virtual Result<void> end_tensor(TensorSpan span) = 0;
};

// Reads a header from `reader`, which starts at offset 0 of a file of `file_bytes`, and nothing
// behind it. Returns the length of the JSON. Fails: `broken_rule` with a message that says which
// rule and where; errors of reader and visitor are passed on.
Result<std::uint64_t> visit_header(ByteReader const& reader, std::uint64_t file_bytes,
                                   HeaderVisitor& visitor, ErrorKind broken_rule);

}  // namespace grove
