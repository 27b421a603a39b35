"""A TCP proxy before one worker that understands HTTP requests: the knob of the fault tests.

It passes everything through and keeps a list of the requests it saw. A rule (a regular expression
on "METHOD target") makes it hold a request until released, so that a test can kill a process at
exactly that point, or cut the connection, before the request or in the middle of its body. Rules can
flip a bit of a body, too, and answer in the worker's place: what a lying worker would say.
"""
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
    flip_at: int | None = None  # this byte of the request's body gets one bit wrong
    flip_answer_at: int | None = None  # … or of the answer's
    canned: bytes | None = None  # a whole answer: the worker never sees the request
    flips_count: int = 0
    seen: int = 0
    is_over: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def holds(self) -> bool:
        return (self.cut_after_bytes is None and self.answer_cut_after_bytes is None and self.flip_at is None
                and self.flip_answer_at is None and self.canned is None)

    def flipped(self, piece: bytes, at: int, first: int) -> bytes:
        """The piece, which begins at the byte `first` of a body, with a bit of the byte `at` flipped if that is in it."""
        index = at - first
        if not 0 <= index < len(piece):
            return piece
        self.flips_count += 1
        return piece[:index] + bytes([piece[index] ^ 1 << at % 8]) + piece[index + 1:]

    def end(self) -> None:
        """Later requests pass as if the rule were not there."""
        self.is_over = True

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

    def flip(self, pattern: str, at: int, skip: int = 0, times: int = 1) -> Rule:
        """Flips a bit of the byte `at` (modulo its length) of a matching request's body."""
        return self._add(Rule(pattern, skip, times, flip_at=at))

    def flip_answer(self, pattern: str, at: int, skip: int = 0, times: int = 1) -> Rule:
        """Flips a bit of the byte `at` (modulo its length) of a matching request's answer."""
        return self._add(Rule(pattern, skip, times, flip_answer_at=at))

    def answer(self, pattern: str, status: int, body: bytes = b"", kind: str = "application/json", skip: int = 0,
               times: int = 1) -> Rule:
        """Answers matching requests itself; the worker never sees them."""
        length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
        head = b"HTTP/1.1 %d Canned\r\nContent-Type: %s\r\n%s\r\n" % (status, kind.encode(), length)
        return self._add(Rule(pattern, skip, times, canned=head + body))

    def throttle(self, bytes_per_second: float) -> None:
        """From now on all answers together come no faster than this."""
        self._rate = bytes_per_second

    def cut_all(self) -> None:
        """Cuts every open connection, as when the machine behind the address is another one now."""
        with self._lock:
            sockets = list(self._open)
        for each in sockets:
            _shut(each)

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
        self.rule: Rule | None = None  # of the current request
        self.answer_body: tuple[int, int] | None = None  # bytes seen and in all, once its head was seen

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
        self.current, self.answer_limit, self.rule, self.answer_body = request, None, rule, None
        cut_after = flip_at = None
        if rule:
            rule.reached.set()
            self.answer_limit = rule.answer_cut_after_bytes
            if rule.holds:
                rule.released.wait()
            cut_after = rule.cut_after_bytes
            if cut_after == 0:
                raise OSError("cut by a rule")
            if rule.canned is not None:
                return self._answer_at_once(rule.canned, buffer, left)
            if rule.flip_at is not None and left:
                flip_at = rule.flip_at % left
        self.worker.sendall(head)
        passed = 0
        while left:
            if not buffer:
                buffer = self.client.recv(PIECE)
                if not buffer:
                    raise OSError("the client left in the middle of a body")
            piece, buffer = buffer[:left], buffer[left:]
            if flip_at is not None:
                piece = rule.flipped(piece, flip_at, passed)
            if cut_after is not None and passed + len(piece) >= cut_after:
                self.worker.sendall(piece[:cut_after - passed])
                raise OSError("cut by a rule")
            self.worker.sendall(piece)
            left -= len(piece)
            passed += len(piece)
        return buffer

    def _answer_at_once(self, answer: bytes, buffer: bytes, left: int) -> bytes:
        while len(buffer) < left:
            piece = self.client.recv(PIECE)
            if not piece:
                raise OSError("the client left in the middle of a body")
            buffer += piece
        self.client.sendall(answer)
        return buffer[left:]

    def _flipped_answer(self, piece: bytes, at: int) -> bytes:
        """Of an answer whose length its head says; the worker sends a head in one piece."""
        if self.answer_body is None:
            length = re.search(rb"\r\ncontent-length: *(\d+)", piece, re.IGNORECASE)
            head_bytes = piece.find(b"\r\n\r\n") + 4
            if not length or head_bytes < 4 or not int(length[1]):
                return piece
            self.answer_body = (0, int(length[1]))
            return piece[:head_bytes] + self._flipped_answer(piece[head_bytes:], at)
        seen, in_all = self.answer_body
        self.answer_body = (seen + len(piece), in_all)
        return self.rule.flipped(piece, at % in_all, seen)

    def answers(self) -> None:
        try:
            while piece := self.worker.recv(PIECE):
                self.proxy.pace(len(piece))
                if self.rule and self.rule.flip_answer_at is not None:
                    piece = self._flipped_answer(piece, self.rule.flip_answer_at)
                if self.current:
                    if not self.current.answer_bytes and piece.startswith(b"HTTP/1.1 "):
                        self.current.status = int(piece[9:12])
                    self.current.answer_bytes += len(piece)
                    limit = self.answer_limit
                    if limit is not None and self.current.answer_bytes >= limit:
                        self.client.sendall(piece[:len(piece) - self.current.answer_bytes + limit])
                        return
                self.client.sendall(piece)
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
