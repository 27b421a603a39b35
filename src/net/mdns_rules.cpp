#include "net/mdns_rules.h"

#include <algorithm>

#include "base/limits.h"

namespace grove {

namespace {

constexpr std::size_t label_bytes_max = 63;         // RFC 1035 section 2.3.4
constexpr std::size_t service_name_bytes_max = 15;  // RFC 6335 section 5.1
constexpr std::size_t pair_bytes_max = 255;         // RFC 6763 section 6.1

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Letters, digits and hyphens, with no hyphen at either end.
bool is_plain(std::string_view name) {
  if (name.empty() || name.front() == '-' || name.back() == '-') return false;
  return std::ranges::all_of(
      name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_showable(std::string_view text) {
  return printable(text) == text;
}

// RFC 6763 section 6.4.
bool is_key(std::string_view key) {
  return !key.empty() &&
         std::ranges::all_of(key, [](char c) { return c >= 0x20 && c <= 0x7E && c != '='; });
}

}  // namespace

Result<void> check_host_label(std::string_view label) {
  if (label.size() <= label_bytes_max && is_plain(label)) return ok();
  return fail(ErrorKind::invalid,
              "host label \"{}\": not letters, digits and hyphens, 63 at most; use another name",
              printable(label));
}

Result<void> check_service_type(std::string_view type) {
  std::string_view name = type;
  bool const has_protocol = name.ends_with("._tcp") || name.ends_with("._udp");
  if (has_protocol && name.starts_with('_')) {
    name.remove_prefix(1);
    name.remove_suffix(5);
    bool const has_letter = std::ranges::any_of(name, is_letter);
    bool const is_short = name.size() <= service_name_bytes_max;
    if (is_short && has_letter && is_plain(name) && name.find("--") == name.npos) return ok();
  }
  return fail(ErrorKind::invalid, "service type \"{}\": not like _name._tcp; use such a one",
              printable(type));
}

Result<void> check_service(MdnsService const& service) {
  TRY(check_service_type(service.type));
  std::string_view const instance = service.instance;
  if (instance.empty() || instance.size() > label_bytes_max || !is_showable(instance)) {
    return fail(ErrorKind::invalid,
                "service instance \"{}\": not 1 to 63 bytes of UTF-8 text; use another name",
                printable(instance));
  }
  if (service.port == 0) {
    return fail(ErrorKind::invalid, "service {}: port 0; announce the port that listens", instance);
  }
  std::size_t bytes = 0;
  for (auto const& [key, value] : service.txt) {
    std::size_t const pair_bytes = key.size() + 1 + value.size();
    if (!is_key(key) || !is_showable(value) || pair_bytes > pair_bytes_max) {
      return fail(
          ErrorKind::invalid,
          "service {}: text \"{}\": not a key and UTF-8 text of 255 bytes together; shorten it",
          instance, printable(key));
    }
    bytes += 1 + pair_bytes;
  }
  if (bytes > limits::mdns_record_bytes_max) {
    return fail(ErrorKind::invalid, "service {}: {} bytes of text, over {}; announce less",
                instance, bytes, limits::mdns_record_bytes_max);
  }
  return ok();
}

void add_text_pair(std::map<std::string, std::string>& txt, std::string_view pair) {
  std::size_t const separator = std::min(pair.find('='), pair.size());
  std::string_view const key = pair.substr(0, separator);
  std::string_view const value = pair.substr(std::min(separator + 1, pair.size()));
  if (is_key(key) && is_showable(value)) txt.try_emplace(std::string(key), value);
}

bool is_usable(MdnsSighting const& sighting, bool on_loopback) {
  auto const& address = sighting.address;
  bool is_one_host = !address.is_unspecified() && !address.is_multicast();
  if (address.is_v4()) {
    auto const number = address.to_v4().to_uint();
    // 0.0.0.0/8 is "this network", 240.0.0.0/4 reserved, with the broadcast address at its end.
    is_one_host = is_one_host && number >> 24 != 0 && number >> 28 != 0xF;
  } else {
    // An IPv4 address in disguise, which the checks above have not seen.
    is_one_host = is_one_host && !address.to_v6().is_v4_mapped();
  }
  return is_one_host && (on_loopback || !address.is_loopback()) && sighting.port != 0 &&
         !sighting.instance.empty() && is_showable(sighting.instance) &&
         is_showable(sighting.host_name);
}

}  // namespace grove
