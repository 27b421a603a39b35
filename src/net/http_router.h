// Which handler answers which method and path.
// Threads: filled before the server starts, only read afterwards.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/asio.h"

namespace grove {

class HttpRequest;
class HttpResponder;

using HttpHandler = std::function<Awaitable<Result<void>>(HttpRequest&, HttpResponder&)>;

class HttpRouter {
 public:
  // `pattern`: "/chunks/{}"; "{}" matches one percent-encoded segment, which is not empty. A
  // trailing slash matters.
  void add(http::verb method, std::string pattern, HttpHandler handler);

  struct Match {
    HttpHandler const* handler = nullptr;  // none: 404, or 405 where another method matches
    bool path_exists = false;
    std::vector<std::string> args;    // what "{}" captured, decoded, in order
    std::vector<http::verb> allowed;  // the methods this path has
  };
  Match match(http::verb method, std::string_view path) const;

 private:
  struct Route {
    http::verb method;
    std::vector<std::string> segments;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace grove
