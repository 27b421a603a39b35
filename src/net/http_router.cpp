#include "net/http_router.h"

#include <optional>
#include <utility>

#include "net/url.h"

namespace grove {
namespace {

constexpr std::string_view capture = "{}";

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  std::size_t begin = 0;
  for (;;) {
    auto const end = path.find('/', begin);
    segments.emplace_back(path.substr(begin, end - begin));
    if (end == path.npos) return segments;
    begin = end + 1;
  }
}

// Segments are decoded after the split, so an encoded slash stays inside its segment.
std::optional<std::vector<std::string>> split_decoded(std::string_view path) {
  auto segments = split(path);
  for (auto& segment : segments) {
    auto decoded = percent_decode(segment);
    if (!decoded) return std::nullopt;
    segment = std::move(decoded.value());
  }
  return segments;
}

// What the pattern captured of the path; nullopt where they differ.
std::optional<std::vector<std::string>> captured(std::vector<std::string> const& pattern,
                                                 std::vector<std::string> const& path) {
  if (pattern.size() != path.size()) return std::nullopt;
  std::vector<std::string> args;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == capture) {
      if (path[i].empty()) return std::nullopt;
      args.push_back(path[i]);
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return args;
}

}  // namespace

void HttpRouter::add(http::verb method, std::string pattern, HttpHandler handler) {
  routes_.push_back({method, split(pattern), std::move(handler)});
}

HttpRouter::Match HttpRouter::match(http::verb method, std::string_view path) const {
  Match match;
  auto const segments = split_decoded(path);
  if (!segments) return match;
  for (auto const& route : routes_) {
    auto args = captured(route.segments, *segments);
    if (!args) continue;
    match.path_exists = true;
    match.allowed.push_back(route.method);
    if (route.method != method || match.handler != nullptr) continue;
    match.handler = &route.handler;
    match.args = std::move(*args);
  }
  return match;
}

}  // namespace grove
