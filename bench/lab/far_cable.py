"""Makes cables long and lossy: a relay between each host's cable and a port of the switch.

    far_cable.py DELAY_SECONDS LOSS NAME...      (in the switch's namespaces; prints "ready")

For the cable NAME of a veth pair it makes the tap NAME-far, which takes its place on the bridge. Frames to the host wait
and may be lost, those from it pass at once: so each is delayed once on its way from host to host. The kernel's own netem does
the same, but not every kernel has it.
"""
import ctypes
import fcntl
import os
import random
import selectors
import socket
import struct
import sys
import time
from collections import deque

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 3, 263, 23  # linux/if_packet.h
PR_SET_TIMERSLACK = 29  # linux/prctl.h
FRAME_BYTES_MAX = 65536
SOCKET_BUFFER = 4 << 20
FRAMES_AT_A_TIME = 64


def open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def open_cable(name: str) -> socket.socket:
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    cable.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        cable.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BUFFER)
    cable.bind((name, 0))
    cable.setblocking(False)
    return cable


def from_host(cable: socket.socket, tap: int) -> None:
    for _ in range(FRAMES_AT_A_TIME):
        try:
            os.write(tap, cable.recv(FRAME_BYTES_MAX))
        except OSError:  # no more, or one of the two is not up yet
            return


def relay(delay: float, loss: float, names: list[str]) -> None:
    ready = selectors.DefaultSelector()
    for name in names:
        tap, cable = open_tap(f"{name}-far"), open_cable(name)
        ready.register(tap, selectors.EVENT_READ, (tap, cable))
        ready.register(cable, selectors.EVENT_READ, (tap, cable))
    print("ready", flush=True)
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()  # all wait as long: in order
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in ready.select(timeout):
            tap, cable = key.data
            if key.fileobj is cable:
                from_host(cable, tap)
                continue
            for _ in range(FRAMES_AT_A_TIME):
                try:
                    frame = os.read(tap, FRAME_BYTES_MAX)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    waiting.append((time.monotonic() + delay, cable, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, cable, frame = waiting.popleft()
            try:
                cable.send(frame)
            except OSError:  # the port's queue is full: the frame is lost, as in any switch
                continue


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000)  # wake up on time: 1 us
    relay(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
