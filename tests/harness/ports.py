"""Free ports for many test processes at once.

Below the kernel's ephemeral range, so that no outgoing connection takes one between our choosing
and grove's binding; each pytest-xdist worker has a range of its own.
"""
import os
import random
import socket

FIRST, LAST, RANGES = 10_000, 32_000, 22


def free_port() -> int:
    index = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
    width = (LAST - FIRST) // RANGES
    for _ in range(200):
        port = FIRST + index * width + random.randrange(width)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port found")
