#include "transfer/announcement.h"

#include <charconv>

#include <fmt/format.h>

#include "base/limits.h"

namespace grove {
namespace {

// An instance is one label (RFC 6763, 4.1.1).
constexpr std::size_t instance_bytes_max = 63;

constexpr std::size_t shown_id_digits = 8;
// "host=" and the name are one string of at most 255 bytes (RFC 6763, 6.1).
constexpr std::size_t host_text_bytes_max = 250;

// The longest beginning of `text` with at most `bytes_max` bytes that cuts no UTF-8 sequence.
std::string cut(std::string const& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  auto end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string text_of(MdnsSighting const& sighting, char const* key) {
  auto const found = sighting.txt.find(key);
  return found == sighting.txt.end() ? std::string() : found->second;
}

}  // namespace

MdnsService announce_worker(WorkerAnnouncement const& worker, std::uint16_t port) {
  // Of its own for every worker, wherever it is: two with one name would be taken for one.
  auto const tail =
      fmt::format(" rank {} ({})", worker.rank.value, worker.id.substr(0, shown_id_digits));
  return {.type = worker_service_type,
          .instance = cut(worker.host, instance_bytes_max - tail.size()) + tail,
          .port = port,
          .txt = {{"rank", std::to_string(worker.rank.value)},
                  {"host", cut(worker.host, host_text_bytes_max)},
                  {"id", worker.id}}};
}

std::optional<WorkerAnnouncement> read_announcement(MdnsSighting const& sighting) {
  auto const rank_text = text_of(sighting, "rank");
  auto const* const end = rank_text.data() + rank_text.size();
  WorkerAnnouncement worker;
  auto const [rest, error] = std::from_chars(rank_text.data(), end, worker.rank.value);
  if (error != std::errc() || rest != end || worker.rank.value == 0) return std::nullopt;
  worker.host = text_of(sighting, "host");
  if (worker.host.empty() || worker.host.size() > limits::name_bytes_max) return std::nullopt;
  worker.id = text_of(sighting, "id");
  return worker;
}

}  // namespace grove
