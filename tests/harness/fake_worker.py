"""Whoever answers at a worker's address as the test wants it: only /health."""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeWorker:
    """`health` overrides what a healthy worker would say; `body` is said instead of all that."""

    def __init__(self, port: int, rank: int, body: bytes | None = None, clock_ahead: float = 0, **health: object):
        self.health = {"rank": rank, "id": f"{rank:032x}", "host": f"pi-{rank}", "version": "0.1.0", "format": 1,
                       "free_bytes": 80 << 30, "total_bytes": 120 << 30, "reserved_bytes": 1 << 30,
                       "inventory": "0" * 64, "draining": False, "coordinators": 1,
                       "file_system": "ext4 rw,relatime", **health}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server's name
                clock_ms = int((time.time() + clock_ahead) * 1000)
                answer = body if body is not None else json.dumps({"clock_ms": clock_ms, **fake.health}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
