#include "net/local_address.h"

#include <boost/asio/ip/udp.hpp>

#include "net/asio.h"

namespace grove {

using asio::ip::udp;

Result<std::string> local_address_towards(std::string const& ip) {
  error_code error;
  auto const address = asio::ip::make_address(ip, error);
  if (error) return fail(ErrorKind::invalid, "{} is not an address", printable(ip));
  // A connected UDP socket has a source address, and connecting one sends nothing.
  constexpr std::uint16_t discard_port = 9;
  asio::io_context io;
  udp::socket socket(io);
  udp::endpoint const there(address, discard_port);
  socket.connect(there, error);
  if (!error) {
    auto const here = socket.local_endpoint(error);
    if (!error) return here.address().to_string();
  }
  return fail(ErrorKind::unavailable, "no way to {}: {}", ip, error.message());
}

}  // namespace grove
