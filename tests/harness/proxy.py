"""A TCP proxy before one worker that understands HTTP requests: the knob of the fault tests.

It passes everything through and keeps a list of the requests it saw. A rule (a regular expression
on "METHOD target") makes it hold a request until released, so that a test can kill a process at
exactly that point, or cut the connection, before the request or in the middle of its body.
"""
import random
import re
import socket
import threading
import time
from dataclasses import dataclass, field

PIECE = 1 << 18


@dataclass
class Request:
    method: str
    target: str
    body_bytes: int = 0
    answer_bytes: int = 0
    status: int = 0  # of the answer; 0 until there is one

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"


@dataclass
class Rule:
    """Applies to the requests number `skip` + 1 … `skip` + `times` that match `pattern`."""
    pattern: str
    skip: int = 0
    times: int = 1
    cut_after_bytes: int | None = None  # of the body; None: this rule holds, and does not cut
    answer_cut_after_bytes: int | None = None
    seen: int = 0
    is_over: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Lets the held requests go on to the worker."""
        self.released.set()

    def drop(self) -> None:
        """Cuts the held requests' connections: the worker never sees them. Later ones pass."""
        self.cut_after_bytes = 0
        self.is_over = True
        self.released.set()

    def wait_reached(self, seconds: float = 30) -> None:
        assert self.reached.wait(seconds), f"no request {self.pattern!r} within {seconds} s"


class Proxy:
    def __init__(self, port: int, target_port: int):
        self.port, self.target_port = port, target_port
        self.requests: list[Request] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._rate: float | None = None
        self._flips: tuple[str, float, random.Random] | None = None
        self.flipped = 0
        self._sent_until = 0.0  # by time.monotonic(), at that rate
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    # --- what a test sets and reads ---

    def hold(self, pattern: str, skip: int = 0, times: int = 1) -> Rule:
        """Holds matching requests before the worker sees them, until the rule is released."""
        return self._add(Rule(pattern, skip, times))

    def cut(self, pattern: str, after_bytes: int = 0, skip: int = 0, times: int = 1) -> Rule:
        """Closes the connection after so many bytes of a matching request's body."""
        return self._add(Rule(pattern, skip, times, cut_after_bytes=after_bytes))

    def cut_answer(self, pattern: str, after_bytes: int, skip: int = 0, times: int = 1) -> Rule:
        """Closes the connection after so many bytes of a matching request's answer."""
        return self._add(Rule(pattern, skip, times, answer_cut_after_bytes=after_bytes))

    def throttle(self, bytes_per_second: float) -> None:
        """From now on all answers together come no faster than this."""
        self._rate = bytes_per_second

    def flip_bits(self, pattern: str, probability: float, seed: int) -> None:
        """From now on bodies and answers of matching requests come with a flipped bit now and then."""
        self._flips = (pattern, probability, random.Random(seed))

    def flip_no_more(self) -> None:
        self._flips = None

    def clear_requests(self) -> None:
        with self._lock:
            self.requests.clear()

    def matching(self, pattern: str) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if re.search(pattern, request.line)]

    def close(self) -> None:
        self._closed = True
        with self._lock:
            rules, sockets = list(self._rules), list(self._open)
        for rule in rules:
            rule.drop()
        self._listener.close()
        for each in sockets:
            _shut(each)

    # --- how it works ---

    def _add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                worker = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                # As the worker itself would answer: nobody is there.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                continue
            worker.settimeout(None)
            with self._lock:
                self._open |= {client, worker}
            link = _Link(self, client, worker)
            threading.Thread(target=link.requests, daemon=True).start()
            threading.Thread(target=link.answers, daemon=True).start()

    def pace(self, size: int) -> None:
        """Waits until so many bytes of an answer may be passed on."""
        if self._rate is None:
            return
        with self._lock:
            self._sent_until = max(time.monotonic(), self._sent_until) + size / self._rate
            wait = self._sent_until - time.monotonic()
        time.sleep(max(0, wait))

    def spoil(self, request: Request | None, piece: bytes) -> bytes:
        """The piece of a body as it arrives."""
        flips = self._flips
        is_head = piece.startswith(b"HTTP/1.1 ")
        if not flips or not request or is_head or len(piece) < 64 or not re.search(flips[0], request.line):
            return piece
        if flips[2].random() >= flips[1]:
            return piece
        self.flipped += 1
        spoiled = bytearray(piece)
        spoiled[flips[2].randrange(len(spoiled))] ^= 1 << flips[2].randrange(8)
        return bytes(spoiled)

    def note(self, request: Request) -> Rule | None:
        """Records a request; returns the rule that applies to it, if any."""
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.is_over or not re.search(rule.pattern, request.line):
                    continue
                rule.seen += 1
                if rule.skip < rule.seen <= rule.skip + rule.times:
                    return rule
        return None


class _Link:
    """One client's connection and the one to the worker behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, worker: socket.socket):
        self.proxy, self.client, self.worker = proxy, client, worker
        self.current: Request | None = None
        self.answer_limit: int | None = None

    def requests(self) -> None:
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    piece = self.client.recv(PIECE)
                    if not piece:
                        return
                    buffer += piece
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                buffer = self._one_request(head + b"\r\n\r\n", buffer)
        except OSError:
            pass
        finally:
            self._shut()

    def _one_request(self, head: bytes, buffer: bytes) -> bytes:
        """Passes a request on; returns what was read beyond its end."""
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        left = int(length[1]) if length else 0
        request = Request(words[0], words[1] if len(words) > 1 else "", left)
        rule = self.proxy.note(request)
        self.current, self.answer_limit = request, None
        cut_after = None
        if rule:
            rule.reached.set()
            self.answer_limit = rule.answer_cut_after_bytes
            if rule.cut_after_bytes is None and self.answer_limit is None:
                rule.released.wait()
            cut_after = rule.cut_after_bytes
            if cut_after == 0:
                raise OSError("cut by a rule")
        self.worker.sendall(head)
        passed = 0
        while left:
            if not buffer:
                buffer = self.client.recv(PIECE)
                if not buffer:
                    raise OSError("the client left in the middle of a body")
            piece, buffer = buffer[:left], buffer[left:]
            if cut_after is not None and passed + len(piece) >= cut_after:
                self.worker.sendall(piece[:cut_after - passed])
                raise OSError("cut by a rule")
            self.worker.sendall(self.proxy.spoil(request, piece))
            left -= len(piece)
            passed += len(piece)
        return buffer

    def answers(self) -> None:
        try:
            while piece := self.worker.recv(PIECE):
                self.proxy.pace(len(piece))
                if self.current:
                    if not self.current.answer_bytes and piece.startswith(b"HTTP/1.1 "):
                        self.current.status = int(piece[9:12])
                    self.current.answer_bytes += len(piece)
                    limit = self.answer_limit
                    if limit is not None and self.current.answer_bytes >= limit:
                        self.client.sendall(piece[:len(piece) - self.current.answer_bytes + limit])
                        return
                self.client.sendall(self.proxy.spoil(self.current, piece))
        except OSError:
            pass
        finally:
            self._shut()

    def _shut(self) -> None:
        with self.proxy._lock:
            self.proxy._open -= {self.client, self.worker}
        _shut(self.client)
        _shut(self.worker)


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    each.close()
