#include "net/url.h"

#include <algorithm>
#include <cctype>

#include <boost/url/encode.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

namespace grove {
namespace {

namespace urls = boost::urls;

Result<std::string> decode(std::string_view text, urls::encoding_opts options) {
  auto const view = urls::make_pct_string_view(text);
  if (!view) return fail(ErrorKind::invalid, "not a valid percent-encoding: {}", text);
  return view->decode(options);
}

Result<std::vector<std::pair<std::string, std::string>>> parse_params(std::string_view query) {
  urls::encoding_opts form;
  form.space_as_plus = true;
  std::vector<std::pair<std::string, std::string>> params;
  while (!query.empty()) {
    auto const pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    auto const name = pair.substr(0, pair.find('='));
    auto const value = pair.substr(std::min(pair.size(), name.size() + 1));
    TRY(auto decoded_name, decode(name, form));
    TRY(auto decoded_value, decode(value, form));
    params.emplace_back(std::move(decoded_name), std::move(decoded_value));
  }
  return params;
}

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string percent_encode(std::string_view text) {
  return urls::encode(text, urls::unreserved_chars);
}

Result<std::string> percent_decode(std::string_view text) {
  return decode(text, {});
}

std::optional<std::string> Target::param(std::string_view name) const {
  auto const found = std::ranges::find(params, name, [](auto const& pair) { return pair.first; });
  if (found == params.end()) return std::nullopt;
  return found->second;
}

Result<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/') || text.find('#') != text.npos) {
    return fail(ErrorKind::invalid, "not a request target: {}", text);
  }
  auto const path = text.substr(0, text.find('?'));
  TRY(percent_decode(path));
  TRY(auto params, parse_params(text.substr(std::min(text.size(), path.size() + 1))));
  return Target{std::string(path), std::move(params)};
}

Result<std::string> parse_host(std::string_view text) {
  std::string_view host = text;
  std::string_view rest;
  if (host.starts_with('[')) {
    auto const end = host.find(']');
    if (end == host.npos) return fail(ErrorKind::invalid, "not a host: {}", text);
    rest = host.substr(end + 1);
    host = host.substr(1, end - 1);
  } else {
    host = host.substr(0, host.find(':'));
    rest = text.substr(host.size());
  }
  if (host.ends_with('.')) host.remove_suffix(1);  // "localhost." is the same name, fully qualified
  bool const has_port = rest.starts_with(':') && is_port(rest.substr(1));
  if (host.empty() || !(rest.empty() || has_port)) {
    return fail(ErrorKind::invalid, "not a host: {}", text);
  }
  std::string lower(host);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string join_host_port(std::string_view host, std::uint16_t port) {
  bool const is_v6 = host.find(':') != host.npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace grove
