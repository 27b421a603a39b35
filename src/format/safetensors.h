// .safetensors headers: reading (all ten rules, as a stream: a legal header may be 100 MB) and
// writing the header of a shard. Format and rules: docs/formats.md#safetensors, read from the
// format's reference implementation (safetensors/src/tensor.rs).
// Not here: tensor bytes. Threads: pure; readers and sinks are called on the caller's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/value_type.h"

namespace grove {

// Reads the next bytes of a stream into the span; 0 is the end. May return fewer than asked.
using ByteReader = std::function<Result<std::size_t>(std::span<std::byte>)>;
// Takes the next bytes of an output.
using ByteSink = std::function<Result<void>(std::span<std::byte const>)>;

// Half-open; offsets are relative to the end of the header, as in the format.
struct TensorSpan {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  friend bool operator==(TensorSpan const&, TensorSpan const&) = default;
};

struct LayoutTensor {
  TensorSpan span;
  // Of name (unescaped), dtype and shape: two tensors with the same three have the same one in
  // every file. Two that differ may share one, once in 10^7 pairs of files of 1.6 million tensors.
  // It is for matching within a process: no promise that another version makes the same.
  std::uint64_t fingerprint = 0;
  ValueType values = ValueType::unknown;
  friend bool operator==(LayoutTensor const&, LayoutTensor const&) = default;
};

// What planning needs of a header: 32 bytes a tensor, so 1.6 million tensors are 51 MB.
struct SafetensorsLayout {
  std::uint64_t header_bytes = 0;  // 8 + N: where the tensor data begins in the file
  std::uint64_t data_bytes = 0;
  std::vector<LayoutTensor> tensors;  // in file order: by begin, then end
};

// Reads and checks a whole header. `reader` starts at offset 0 of a file of `file_bytes`.
// Fails: invalid, with the rule that is broken and the tensor or byte where it is.
// Errors of the reader are passed on.
Result<SafetensorsLayout> parse_safetensors(ByteReader reader, std::uint64_t file_bytes);

// The bytes of one shard, relative to the end of the header, and whether it is the shard that
// owns the zero-size tensors that lie at the very end of the data.
struct ShardSpan {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool is_last_nonempty = false;
};

// Opens a fresh reader at offset 0 of the same header; the export reads it twice.
using HeaderOpener = std::function<Result<ByteReader>()>;

// Writes the header (8 length bytes, JSON, padding to 8 with spaces) of the .safetensors file that
// holds exactly the tensors of `shard`: the tensors whose bytes lie in it; a zero-size tensor
// belongs to the shard with begin <= offset < end, at the end of the data to the last non-empty
// one. Offsets are rebased to the shard's begin; `__metadata__` is kept. Bounded memory: two passes
// over the header, the first to count.
// Returns the bytes written. The whole header has been checked by parse_safetensors before; damage
// found here is `corrupt`.
Result<std::uint64_t> write_shard_header(HeaderOpener const& open, std::uint64_t file_bytes,
                                         ShardSpan shard, ByteSink const& sink);

// The size of what write_shard_header writes.
Result<std::uint64_t> shard_header_bytes(HeaderOpener const& open, std::uint64_t file_bytes,
                                         ShardSpan shard);

}  // namespace grove
