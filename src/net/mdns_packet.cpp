#include "net/mdns_packet.h"

#include <cstdint>
#include <optional>

#include "base/limits.h"

namespace grove {

namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::size_t name_bytes_max = 255;

constexpr unsigned type_cname = 5;
constexpr unsigned type_ptr = 12;
constexpr unsigned type_srv = 33;
constexpr unsigned type_dname = 39;

// Each read gives nothing once the packet is over.
class PacketReader {
 public:
  explicit PacketReader(std::span<std::byte const> packet) : packet_(packet) {}

  std::size_t at() const { return at_; }

  std::optional<unsigned> read_16() {
    if (packet_.size() - at_ < 2) return std::nullopt;
    unsigned const value = byte(at_) << 8 | byte(at_ + 1);
    at_ += 2;
    return value;
  }

  bool skip(std::size_t bytes) {
    if (packet_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }

  // A name of labels, which may end in a pointer to an earlier name. Only ever backwards: so it
  // ends.
  bool skip_name() {
    std::size_t from = at_;
    std::size_t limit = at_;  // a pointer has to lead before this
    std::size_t name_bytes = 0;
    bool has_jumped = false;
    while (from < packet_.size()) {
      std::size_t const length = byte(from);
      if (length >= 0xC0) {
        if (from + 1 >= packet_.size()) return false;
        std::size_t const target = (length & 0x3F) << 8 | byte(from + 1);
        if (target >= limit) return false;
        if (!has_jumped) at_ = from + 2;
        has_jumped = true;
        from = limit = target;
      } else {
        if (length > 63 || packet_.size() - from <= length) return false;
        name_bytes += 1 + length;
        if (name_bytes > name_bytes_max) return false;
        from += 1 + length;
        if (length == 0) {
          if (!has_jumped) at_ = from;
          return true;
        }
      }
    }
    return false;
  }

 private:
  unsigned byte(std::size_t index) const { return std::to_integer<unsigned>(packet_[index]); }

  std::span<std::byte const> packet_;
  std::size_t at_ = 0;
};

bool skip_question(PacketReader& reader) {
  return reader.skip_name() && reader.skip(4);
}

bool skip_harmless_record(PacketReader& reader) {
  if (!reader.skip_name()) return false;
  auto const type = reader.read_16();
  if (!type || *type == type_cname || *type == type_dname) return false;
  if (!reader.skip(6)) return false;  // class, time to live
  auto const data_bytes = reader.read_16();
  if (!data_bytes || *data_bytes > limits::mdns_record_bytes_max) return false;
  std::size_t const end = reader.at() + *data_bytes;
  if (*type != type_ptr && *type != type_srv) return reader.skip(*data_bytes);
  if (*type == type_srv && !reader.skip(6)) return false;  // priority, weight, port
  return reader.skip_name() && reader.at() == end;
}

}  // namespace

bool is_harmless_mdns_packet(std::span<std::byte const> packet) {
  if (packet.size() < header_bytes || packet.size() > limits::mdns_packet_bytes_max) return false;
  PacketReader reader(packet);
  if (!reader.skip(4)) return false;  // id, flags
  auto const questions_count = reader.read_16();
  std::size_t records_count = 0;
  for (int section = 0; section < 3; ++section) records_count += reader.read_16().value_or(0);
  for (unsigned index = 0; index < questions_count.value_or(0); ++index) {
    if (!skip_question(reader)) return false;
  }
  for (std::size_t index = 0; index < records_count; ++index) {
    if (!skip_harmless_record(reader)) return false;
  }
  return true;
}

}  // namespace grove
