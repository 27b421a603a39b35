// How fast and how small: grove's codecs beside plain zstd -1 and LZ4, in one run, on one core.
//
//   codec_bench [Google Benchmark's options] [FILE | BASE:FILE]...
//
// Made data always: 16 MiB each of normal(0, 0.02) in every float type, of 8-bit numbers, and of
// noise, in chunks of 4 MiB. A FILE (.safetensors, all of one dtype) is cut into chunks as a store
// cuts it; with a BASE beside it the delta is measured too. `ratio` is bytes that travel, headers
// included, to raw bytes; speeds are raw bytes. SHA-256 is not in them but has its own line.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <lz4.h>
#include <malloc.h>
#include <zstd.h>

#include "base/digest.h"
#include "base/limits.h"
#include "format/chunk.h"
#include "format/delta.h"
#include "format/plane_payload.h"
#include "plan/shards.h"

namespace grove {
namespace {

using Bytes = std::vector<std::byte>;

struct DataSet {
  std::string name;
  ValueType type = ValueType::unknown;
  std::vector<Bytes> chunks{};
  std::vector<Bytes> bases{};  // as many as chunks, or none
  std::size_t raw_bytes = 0;
};

constexpr std::size_t made_bytes = 16 * limits::mib;

// Times work(i) for every chunk i; it returns how many bytes the chunk became.
void time_chunks(benchmark::State& state, DataSet const& data,
                 std::function<std::size_t(std::size_t)> const& work) {
  std::size_t encoded_bytes = 0;
  for (auto _ : state) {
    encoded_bytes = 0;
    for (std::size_t i = 0; i < data.chunks.size(); ++i) encoded_bytes += work(i);
  }
  auto const raw_bytes = static_cast<std::int64_t>(data.raw_bytes);
  state.SetBytesProcessed(state.iterations() * raw_bytes);
  state.counters["ratio"] = static_cast<double>(encoded_bytes) / static_cast<double>(raw_bytes);
}

void stop_where(bool is_wrong, char const* what) {
  if (!is_wrong) return;
  std::fprintf(stderr, "codec_bench: %s\n", what);
  std::exit(1);
}

Buffer encode(DataSet const& data, std::size_t i) {
  return encode_chunk(data.chunks[i], choose_codec(data.chunks[i], data.type).codec);
}

void chunk_in(benchmark::State& state, DataSet const& data) {
  time_chunks(state, data, [&](std::size_t i) { return encode(data, i).size(); });
}

// Decoding alone, or with the chunk's checksum before it.
template <bool is_checked>
void chunk_out(benchmark::State& state, DataSet const& data) {
  std::vector<Buffer> encoded;
  for (std::size_t i = 0; i < data.chunks.size(); ++i) encoded.push_back(encode(data, i));
  Buffer scratch;
  auto const decode = [&](std::size_t i) -> std::span<std::byte const> {
    auto const header =
        is_checked ? check_chunk(encoded[i].span()) : parse_chunk_header(encoded[i].span());
    auto const payload = encoded[i].span().subspan(limits::chunk_header_bytes);
    if (header.value().codec == Codec::raw) return payload;
    stop_where(!decode_payload(payload, header.value().codec, header.value().raw_bytes, scratch),
               "a chunk does not decode");
    return scratch.span();
  };
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    stop_where(!std::ranges::equal(decode(i), data.chunks[i]), "a chunk came back changed");
  }
  time_chunks(state, data, [&](std::size_t i) {
    benchmark::DoNotOptimize(decode(i).data());
    return encoded[i].size();
  });
}

std::optional<Buffer> make_delta(DataSet const& data, std::size_t i) {
  return encode_delta(data.chunks[i], data.bases[i], data.type, Codec::raw, data.chunks[i].size());
}

void delta_in(benchmark::State& state, DataSet const& data) {
  time_chunks(state, data, [&](std::size_t i) {
    auto const delta = make_delta(data, i);
    return delta ? delta->size() : limits::chunk_header_bytes + data.chunks[i].size();
  });
}

// What decode_delta does, but for the SHA-256 at its end.
void delta_out(benchmark::State& state, DataSet const& data) {
  std::vector<Buffer> deltas;
  for (std::size_t i = 0; i < data.chunks.size(); ++i) {
    auto delta = make_delta(data, i);
    Buffer scratch;
    stop_where(
        delta && !decode_delta(delta->span(), data.bases[i], sha256(data.chunks[i]), scratch),
        "a delta does not rebuild its chunk");
    deltas.push_back(delta ? std::move(*delta) : Buffer());
  }
  time_chunks(state, data, [&](std::size_t i) {
    auto const delta = deltas[i].span();
    if (delta.empty()) return limits::chunk_header_bytes + data.chunks[i].size();
    std::size_t const value_bytes = std::to_integer<std::size_t>(delta[20]);
    auto const decoded = decode_planes(delta.subspan(limits::chunk_header_bytes), value_bytes,
                                       data.chunks[i].size());
    Buffer scratch(data.chunks[i].size());
    merge_difference(decoded.value().planes, data.bases[i], value_bytes, scratch.span());
    benchmark::DoNotOptimize(scratch.data());
    return delta.size();
  });
}

void zstd_in(benchmark::State& state, DataSet const& data) {
  Bytes out(ZSTD_compressBound(limits::chunk_bytes_max));
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> const context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  time_chunks(state, data, [&](std::size_t i) {
    return ZSTD_compressCCtx(context.get(), out.data(), out.size(), data.chunks[i].data(),
                             data.chunks[i].size(), 1);
  });
}

void zstd_out(benchmark::State& state, DataSet const& data) {
  std::vector<Bytes> encoded;
  for (Bytes const& chunk : data.chunks) {
    Bytes& frame = encoded.emplace_back(ZSTD_compressBound(chunk.size()));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), chunk.data(), chunk.size(), 1));
  }
  Bytes out(limits::chunk_bytes_max);
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> const context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  time_chunks(state, data, [&](std::size_t i) {
    ZSTD_decompressDCtx(context.get(), out.data(), out.size(), encoded[i].data(),
                        encoded[i].size());
    return encoded[i].size();
  });
}

std::size_t lz4(Bytes const& from, Bytes& to) {
  return static_cast<std::size_t>(LZ4_compress_default(
      reinterpret_cast<char const*>(from.data()), reinterpret_cast<char*>(to.data()),
      static_cast<int>(from.size()), static_cast<int>(to.size())));
}

void lz4_in(benchmark::State& state, DataSet const& data) {
  Bytes out(static_cast<std::size_t>(LZ4_compressBound(limits::chunk_bytes_max)));
  time_chunks(state, data, [&](std::size_t i) { return lz4(data.chunks[i], out); });
}

void lz4_out(benchmark::State& state, DataSet const& data) {
  std::vector<Bytes> encoded;
  for (Bytes const& chunk : data.chunks) {
    Bytes& block = encoded.emplace_back(
        static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(chunk.size()))));
    block.resize(lz4(chunk, block));
  }
  Bytes out(limits::chunk_bytes_max);
  time_chunks(state, data, [&](std::size_t i) {
    LZ4_decompress_safe(reinterpret_cast<char const*>(encoded[i].data()),
                        reinterpret_cast<char*>(out.data()), static_cast<int>(encoded[i].size()),
                        static_cast<int>(out.size()));
    return encoded[i].size();
  });
}

void hash(benchmark::State& state, DataSet const& data) {
  time_chunks(state, data, [&](std::size_t i) {
    benchmark::DoNotOptimize(sha256(data.chunks[i]));
    return data.chunks[i].size();
  });
}

void choose(benchmark::State& state, DataSet const& data) {
  time_chunks(state, data, [&](std::size_t i) {
    benchmark::DoNotOptimize(choose_codec(data.chunks[i], data.type));
    return data.chunks[i].size();
  });
}

// Chunks of the largest size from value after value.
template <typename Value, typename Next>
DataSet make(std::string name, ValueType type, Next const& next) {
  DataSet data{.name = std::move(name), .type = type, .raw_bytes = made_bytes};
  for (std::size_t done = 0; done < made_bytes; done += limits::chunk_bytes_max) {
    Bytes& chunk = data.chunks.emplace_back(limits::chunk_bytes_max);
    for (std::size_t i = 0; i < chunk.size(); i += sizeof(Value)) {
      Value const value = next();
      std::memcpy(chunk.data() + i, &value, sizeof(value));
    }
  }
  return data;
}

// Rounded to the nearest; the tails that no half can hold do not come up.
std::uint16_t half_of(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  auto const sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  float const scaled = std::bit_cast<float>(bits & 0x7fffffff) * 0x1p-112F;
  auto const rounded = std::bit_cast<std::uint32_t>(scaled) + 0x1000;
  return static_cast<std::uint16_t>(sign | rounded >> 13);
}

// E4M3, cut off: weights scaled to fill its range, as those who quantise them do.
std::uint8_t f8_of(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  auto const kept = static_cast<std::int32_t>((bits & 0x7fffffff) >> 20) - (120 << 3);
  return static_cast<std::uint8_t>((bits >> 24 & 0x80) |
                                   static_cast<std::uint32_t>(std::clamp(kept, 0, 0x7e)));
}

std::vector<DataSet> made_sets() {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal(0, 0.02);
  auto const weight = [&] { return normal(random); };
  auto const float_weight = [&] { return static_cast<float>(weight()); };
  std::vector<DataSet> sets;
  sets.push_back(make<std::uint16_t>("BF16", ValueType::bf16, [&] {
    return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(float_weight()) + 0x8000) >>
                                      16);
  }));
  sets.push_back(
      make<std::uint16_t>("F16", ValueType::f16, [&] { return half_of(float_weight()); }));
  sets.push_back(make<float>("F32", ValueType::f32, float_weight));
  sets.push_back(make<double>("F64", ValueType::f64, weight));
  sets.push_back(
      make<std::uint8_t>("F8_E4M3", ValueType::b8, [&] { return f8_of(float_weight() * 4096); }));
  sets.push_back(make<std::int8_t>("I8", ValueType::b8, [&] {
    return static_cast<std::int8_t>(std::clamp(weight() * 1600, -127.0, 127.0));
  }));
  sets.push_back(make<std::uint64_t>("noise", ValueType::unknown, [&] { return random(); }));
  return sets;
}

Bytes read_file(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  std::string const content(std::istreambuf_iterator<char>(file), {});
  stop_where(!file || content.empty(), (path + ": cannot be read").c_str());
  auto const bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

DataSet read_set(std::string_view argument) {
  std::size_t const colon = argument.find(':');
  bool const has_base = colon != argument.npos;
  std::string const path(has_base ? argument.substr(colon + 1) : argument);
  Bytes const file = read_file(path);
  Bytes const base = has_base ? read_file(std::string(argument.substr(0, colon))) : Bytes();
  stop_where(has_base && base.size() != file.size(), "BASE and FILE differ in size");
  std::string_view const text(reinterpret_cast<char const*>(file.data()), file.size());
  auto reader = [rest = std::span(file)](std::span<std::byte> out) mutable -> Result<std::size_t> {
    std::size_t const count = std::min(out.size(), rest.size());
    std::ranges::copy(rest.first(count), out.begin());
    rest = rest.subspan(count);
    return count;
  };
  auto const layout = parse_safetensors(std::move(reader), file.size());
  stop_where(layout.has_error(), "a FILE is no .safetensors file");

  constexpr std::string_view field = "\"dtype\"";
  std::size_t const begin = text.find('"', text.find(field) + field.size()) + 1;
  DataSet data{.name = path.substr(path.rfind('/') + 1),
               .type = value_type_of(text.substr(begin, text.find('"', begin) - begin))};
  FilePlan const plan = plan_safetensors(layout.value(), 1);
  for (auto const& slice : plan.shards[0].chunks) {
    auto const cut = [&](Bytes const& from) {
      auto const first = from.begin() + static_cast<std::ptrdiff_t>(slice.offset);
      return Bytes(first, first + slice.bytes);
    };
    data.chunks.push_back(cut(file));
    if (has_base) data.bases.push_back(cut(base));
    data.raw_bytes += slice.bytes;
  }
  return data;
}

void add(DataSet const& data) {
  auto const line = [&](char const* what, void (*run)(benchmark::State&, DataSet const&)) {
    benchmark::RegisterBenchmark((data.name + "/" + what).c_str(),
                                 [run, &data](benchmark::State& state) { run(state, data); });
  };
  line("grove/in", chunk_in);
  line("grove/out", chunk_out<true>);
  if (choose_codec(data.chunks[0], data.type).codec != Codec::raw) {
    line("grove/decode", chunk_out<false>);
  }
  if (!data.bases.empty()) {
    line("delta/in", delta_in);
    line("delta/out", delta_out);
  }
  line("zstd-1/in", zstd_in);
  line("zstd-1/out", zstd_out);
  line("lz4/in", lz4_in);
  line("lz4/out", lz4_out);
  line("sha256", hash);
  line("choose", choose);
}

}  // namespace
}  // namespace grove

int main(int argc, char** argv) {
  // As grove's own main has it: buffers are used again instead of being mapped anew.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
  benchmark::Initialize(&argc, argv);
  std::vector<grove::DataSet> sets = grove::made_sets();
  for (int i = 1; i < argc; ++i) sets.push_back(grove::read_set(argv[i]));
  for (auto const& set : sets) grove::add(set);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
