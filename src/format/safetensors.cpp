#include "format/safetensors.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <xxhash.h>

#include "base/limits.h"
#include "format/header_reader.h"
#include "format/header_source.h"

namespace grove {
namespace {

// The shortest entries there can be: `"":{"dtype":"F4","shape":[],"data_offsets":[0,0]},` and
// `"":"",`. With room for the most that fit, a vector never grows by copying; memory that is not
// used is never touched.
constexpr std::uint64_t tensor_entry_bytes_min = 50;
constexpr std::uint64_t metadata_entry_bytes_min = 6;

// At so many names, and whenever they have doubled, they are looked through: repeated ones, as
// short as they can be, would else take 260 MB before the last of them is read.
constexpr std::size_t names_before_check = 1'000'000;

struct FreeHash {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
using HashState = std::unique_ptr<XXH3_state_t, FreeHash>;

HashState new_hash() {
  HashState hash(XXH3_createState());
  GROVE_ASSERT(hash != nullptr);
  return hash;
}

// The names seen so far, 16 bytes each whatever their length: 96 bits of XXH3 and where the name
// ends in the header. Two different names with one hash could only make a good file refused, which
// among 2 million names happens once in 10^16 files; they never make a bad one pass.
class NameLog {
 public:
  explicit NameLog(std::string_view what) : what_(what), hash_(new_hash()) {
    XXH3_128bits_reset(hash_.get());
  }

  void reserve(std::uint64_t names_count_max) { marks_.reserve(names_count_max); }

  Result<void> add(TextPart part, std::uint64_t end) {
    XXH3_128bits_update(hash_.get(), part.text.data(), part.text.size());
    if (!part.is_last) return ok();
    latest_ = XXH3_128bits_digest(hash_.get());
    XXH3_128bits_reset(hash_.get());
    marks_.push_back({.high = latest_.high64,
                      .low = static_cast<std::uint32_t>(latest_.low64),
                      .end = static_cast<std::uint32_t>(end)});
    if (marks_.size() < next_check_) return ok();
    next_check_ *= 2;
    return check();
  }

  Result<void> check() {
    std::ranges::sort(marks_);
    auto const repeated = std::ranges::adjacent_find(
        marks_, [](Mark const& a, Mark const& b) { return a.high == b.high && a.low == b.low; });
    if (repeated == marks_.end()) return ok();
    return fail(ErrorKind::invalid, "two {} have the same name: before byte {} and before byte {}",
                what_, repeated->end, std::next(repeated)->end);
  }

  // The hash of the name that was complete last.
  XXH128_hash_t latest() const { return latest_; }

 private:
  struct Mark {
    std::uint64_t high = 0;
    std::uint32_t low = 0;
    std::uint32_t end = 0;
    friend auto operator<=>(Mark const&, Mark const&) = default;
  };
  static_assert(sizeof(Mark) == 16);
  static_assert(limits::safetensors_header_bytes_max + header_prefix_bytes < UINT32_MAX);

  std::string_view what_;
  HashState hash_;
  XXH128_hash_t latest_{};
  std::size_t next_check_ = names_before_check;
  std::vector<Mark> marks_;
};

// The dtype and the shape of the tensor at hand, whichever comes first. A shape may be as long as
// the header, so that only its hash is kept.
class TensorKind {
 public:
  void set_dtype(std::string_view name) {
    GROVE_ASSERT(name.size() <= dtype_.size());
    dtype_.fill('\0');
    std::ranges::copy(name, dtype_.begin());
    values_ = value_type_of(name);
  }
  void begin_shape() { XXH3_64bits_reset(shape_.get()); }
  // Dimensions are of one width, so no two shapes are the same bytes.
  void add_dimension(std::uint64_t size) { XXH3_64bits_update(shape_.get(), &size, sizeof size); }

  ValueType values() const { return values_; }

  // Parts of fixed widths, so that none can run into the next.
  std::uint64_t fingerprint(XXH128_hash_t name) const {
    struct Parts {
      XXH128_hash_t name;
      std::array<char, 16> dtype;
      std::uint64_t shape;
    };
    static_assert(sizeof(Parts) == 40);  // no padding, whose bytes would be anything
    Parts const parts{.name = name, .dtype = dtype_, .shape = XXH3_64bits_digest(shape_.get())};
    return XXH3_64bits(&parts, sizeof parts);
  }

 private:
  std::array<char, 16> dtype_{};
  ValueType values_ = ValueType::unknown;
  HashState shape_ = new_hash();
};

class LayoutBuilder final : public HeaderVisitor {
 public:
  Result<void> begin(std::uint64_t json_bytes) override {
    json_bytes_ = json_bytes;
    tensors_.reserve(json_bytes / tensor_entry_bytes_min);
    names_.reserve(json_bytes / tensor_entry_bytes_min);
    return ok();
  }
  Result<void> begin_metadata() override {
    metadata_keys_.emplace("entries of __metadata__")
        .reserve(json_bytes_ / metadata_entry_bytes_min);
    return ok();
  }
  Result<void> metadata_key(TextPart part, std::uint64_t end) override {
    return metadata_keys_->add(part, end);
  }
  Result<void> metadata_value(TextPart /*part*/) override { return ok(); }
  Result<void> end_metadata() override {
    TRY(metadata_keys_->check());
    metadata_keys_.reset();
    return ok();
  }
  Result<void> tensor_name(TextPart part, std::uint64_t end) override {
    return names_.add(part, end);
  }
  Result<void> dtype(std::string_view name) override {
    kind_.set_dtype(name);
    return ok();
  }
  Result<void> begin_shape() override {
    kind_.begin_shape();
    return ok();
  }
  Result<void> dimension(std::uint64_t size) override {
    kind_.add_dimension(size);
    return ok();
  }
  Result<void> end_shape() override { return ok(); }
  Result<void> data_offsets(TensorSpan /*span*/) override { return ok(); }
  Result<void> end_tensor(TensorSpan span) override {
    tensors_.push_back({.span = span,
                        .fingerprint = kind_.fingerprint(names_.latest()),
                        .values = kind_.values()});
    return ok();
  }

  // The rules between tensors.
  Result<SafetensorsLayout> finish(std::uint64_t file_bytes) {
    TRY(names_.check());
    auto const by_offsets = [](LayoutTensor const& a, LayoutTensor const& b) {
      return a.span.begin != b.span.begin ? a.span.begin < b.span.begin : a.span.end < b.span.end;
    };
    if (!std::ranges::is_sorted(tensors_, by_offsets)) std::ranges::sort(tensors_, by_offsets);
    std::uint64_t offset = 0;
    for (auto const& [tensor, fingerprint, values] : tensors_) {
      if (tensor.begin != offset) {
        return fail(ErrorKind::invalid,
                    "the tensor with data_offsets [{},{}] {}: the tensors before it end at {}",
                    tensor.begin, tensor.end,
                    tensor.begin < offset ? "overlaps others" : "leaves a gap", offset);
      }
      offset = tensor.end;
    }
    std::uint64_t const header_bytes = header_prefix_bytes + json_bytes_;
    if (offset != file_bytes - header_bytes) {
      return fail(ErrorKind::invalid, "the tensors take {} bytes, but the file has {} for them",
                  offset, file_bytes - header_bytes);
    }
    return SafetensorsLayout{
        .header_bytes = header_bytes, .data_bytes = offset, .tensors = std::move(tensors_)};
  }

 private:
  std::uint64_t json_bytes_ = 0;
  std::vector<LayoutTensor> tensors_;
  NameLog names_{"tensors"};
  TensorKind kind_;
  std::optional<NameLog> metadata_keys_;
};

}  // namespace

Result<SafetensorsLayout> parse_safetensors(ByteReader reader, std::uint64_t file_bytes) {
  LayoutBuilder layout;
  TRY(visit_header(reader, file_bytes, layout, ErrorKind::invalid));
  return layout.finish(file_bytes);
}

}  // namespace grove
