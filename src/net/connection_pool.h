// Idle connections kept for the next call to the same place.
// Threads: one executor.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/connection.h"

namespace grove {

class ConnectionPool {
 public:
  // The connection to `place` ("host:port") that was used last; none where there is none that is
  // alive, as far as one can tell without using it.
  std::unique_ptr<Connection> take(std::string const& place);
  // Keeps an idle connection, or closes it where enough are kept.
  void put(std::string const& place, std::unique_ptr<Connection> connection);
  void clear() { idle_.clear(); }
  std::size_t count(std::string const& place) const;

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    Connection::Clock::time_point since;
  };
  void close_old();

  std::map<std::string, std::vector<Idle>> idle_;
};

}  // namespace grove
