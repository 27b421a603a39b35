#include "format/frame.h"

#include <algorithm>
#include <memory>

// ZSTD_c_literalCompressionMode is experimental: a name that the public header holds back. What is
// called is exported by the shared library, and a library that no longer knew it would end us at
// the first use instead of storing more than it should.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

namespace grove {
namespace {

constexpr int search_level = 1;

// Skips through its input so fast that it finds no repetitions.
int entropy_level() {
  return ZSTD_minCLevel();
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  GROVE_ASSERT(ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) == 0);
}

ZSTD_CCtx* make_encoder() {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  GROVE_ASSERT(context != nullptr);
  // The lowest level would leave its literals uncoded.
  set(context, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  return context;
}

ZSTD_CCtx* encoder() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> const context(make_encoder());
  return context.get();
}

ZSTD_DCtx* decoder() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeContext> const context(ZSTD_createDCtx());
  GROVE_ASSERT(context != nullptr);
  return context.get();
}

}  // namespace

std::optional<std::size_t> encode_frame(std::span<std::byte const> bytes, Effort effort,
                                        std::span<std::byte> out) {
  if (bytes.empty()) return std::nullopt;
  // A call that found no room leaves its frame unfinished.
  GROVE_ASSERT(ZSTD_isError(ZSTD_CCtx_reset(encoder(), ZSTD_reset_session_only)) == 0);
  set(encoder(), ZSTD_c_compressionLevel,
      effort == Effort::search ? search_level : entropy_level());
  // One byte less: a frame that does not shrink is an error to zstd, and raw to us.
  std::size_t const room = std::min(out.size(), bytes.size() - 1);
  std::size_t const size = ZSTD_compress2(encoder(), out.data(), room, bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) return std::nullopt;
  return size;
}

Result<void> check_frame(std::span<std::byte const> frame, std::size_t content_bytes) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != content_bytes) {
    return fail(ErrorKind::corrupt, "a zstd frame does not hold the {} bytes it should",
                content_bytes);
  }
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
    return fail(ErrorKind::corrupt, "a zstd frame does not fill its {} bytes", frame.size());
  }
  return ok();
}

Result<void> decode_frame(std::span<std::byte const> frame, std::span<std::byte> bytes) {
  std::size_t const size =
      ZSTD_decompressDCtx(decoder(), bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) != 0) {
    return fail(ErrorKind::corrupt, "a zstd frame is damaged: {}", ZSTD_getErrorName(size));
  }
  if (size != bytes.size()) {
    return fail(ErrorKind::corrupt, "a zstd frame decodes to {} bytes instead of {}", size,
                bytes.size());
  }
  return ok();
}

}  // namespace grove
