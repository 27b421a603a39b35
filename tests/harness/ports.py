"""Free ports for many test processes at once.

Below the kernel's ephemeral range, so that no outgoing connection takes one between our choosing
and grove's binding. Each port is reserved by an abstract Unix socket of that name, which no other
test process can bind while this one lives.
"""
import random
import socket

FIRST, LAST = 10_000, 32_000
_reservations: list[socket.socket] = []


def free_port() -> int:
    for _ in range(1000):
        port = random.randrange(FIRST, LAST)
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0grove-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("0.0.0.0", port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return port
    raise AssertionError("no free port found")
