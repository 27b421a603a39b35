#include "net/host_label.h"

#include <boost/asio/ip/host_name.hpp>
#include <fmt/format.h>

#include "net/asio.h"

namespace grove {
namespace {

constexpr std::size_t label_bytes_max = 63;

char label_character(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  bool const is_allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  return is_allowed ? c : '-';
}

}  // namespace

std::string mdns_host_label(std::string_view host_name, std::uint16_t port) {
  std::string label = "grove-";
  auto const suffix = fmt::format("-{}", port);
  for (char const c : host_name.substr(0, host_name.find('.'))) {
    if (label.size() + suffix.size() == label_bytes_max) break;
    label += label_character(c);
  }
  return label + suffix;
}

std::string machine_name() {
  error_code error;
  auto name = asio::ip::host_name(error);
  return error || name.empty() ? "localhost" : name;
}

}  // namespace grove
