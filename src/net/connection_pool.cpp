#include "net/connection_pool.h"

#include <chrono>
#include <utility>

#include "base/limits.h"

namespace grove {
namespace {

constexpr std::size_t idle_count_max = 8;
constexpr std::chrono::milliseconds idle_period_max = std::chrono::seconds(30);
// Or the server would close under our hands.
static_assert(idle_period_max < limits::keep_alive_timeout);

}  // namespace

std::unique_ptr<Connection> ConnectionPool::take(std::string const& place) {
  close_old();
  auto const found = idle_.find(place);
  if (found == idle_.end()) return nullptr;
  auto& stack = found->second;
  while (!stack.empty()) {
    auto connection = std::move(stack.back().connection);
    stack.pop_back();
    if (connection->is_quiet()) return connection;
  }
  return nullptr;
}

void ConnectionPool::put(std::string const& place, std::unique_ptr<Connection> connection) {
  close_old();
  auto& stack = idle_[place];
  if (stack.size() < idle_count_max) {
    connection->rest();
    stack.push_back({std::move(connection), Connection::Clock::now()});
  }
}

std::size_t ConnectionPool::count(std::string const& place) const {
  auto const found = idle_.find(place);
  return found == idle_.end() ? 0 : found->second.size();
}

void ConnectionPool::close_old() {
  auto const oldest = Connection::Clock::now() - idle_period_max;
  for (auto& [place, stack] : idle_) {
    std::erase_if(stack, [oldest](Idle const& idle) { return idle.since < oldest; });
  }
  std::erase_if(idle_, [](auto const& entry) { return entry.second.empty(); });
}

}  // namespace grove
