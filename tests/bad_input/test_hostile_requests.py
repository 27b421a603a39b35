"""Requests that no honest coordinator sends: a worker answers with one clear sentence, keeps nothing,
and goes on serving."""
import hashlib
import json
import socket
import time

import httpx
import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done
from harness.waiting import wait_until

RANK = 1
IDLE_SECONDS = 4  # limits::idle_timeout


@pytest.fixture
def worker(shared_cluster: Cluster):
    """A worker that holds something; checks that nothing changed on it and that it still serves."""
    path = shared_cluster.ckpt_root / "hostile/step_1/model.safetensors"
    if not path.exists():
        write(path, model(1))
        assert is_done(shared_cluster.store(path))
    before = shared_cluster.snapshot()
    yield shared_cluster
    assert shared_cluster.workers[RANK].is_running()
    wait_until(lambda: not shared_cluster.temporary_files(), "temporary files are gone")
    assert shared_cluster.snapshot() == before
    assert http.get(shared_cluster.worker_url(RANK) + "/health").status_code == 200


def call(cluster: Cluster, method: str, target: str, **options: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.request(method, cluster.worker_url(RANK) + target, **options)


def raw(cluster: Cluster, *pieces: bytes, close_early: bool = False) -> bytes:
    """Sends bytes as they are; returns what comes back until the worker closes or says no more."""
    with socket.create_connection(("127.0.0.1", cluster.ports[RANK]), timeout=20) as link:
        for piece in pieces:
            link.sendall(piece)
        if close_early:
            return b""
        answer = b""
        try:
            while piece := link.recv(65536):
                answer += piece
                link.settimeout(1)  # a worker that keeps the connection has said all it will
        except ConnectionResetError:
            pass
        except TimeoutError:
            assert answer, "neither an answer nor an end of the connection"
        return answer


def head(method: str, target: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def assert_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    detail = answer.json()["detail"]
    assert detail and "\n" not in detail


HOSTILE = ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a%2F..%2Fb", "a%2F%2Fb", ".", "%2E%2E",
           "a%00b", "a%0Ab", "%FF%FE", "x" * 5000, "a%2F" + "y" * 256]


@pytest.mark.parametrize("identity", HOSTILE)
def test_hostile_keys(worker: Cluster, identity: str) -> None:
    target = json.dumps({"target": "0" * 64})
    for answer in (call(worker, "PUT", f"/refs/{identity}/1/0", content=target),
                   call(worker, "GET", f"/shards/{identity}/0"),
                   call(worker, "PUT", f"/tombstones/{identity}",
                        content=json.dumps({"up_to": 1, "file_bytes": 0, "mtime_ns": 0})),
                   call(worker, "DELETE", f"/refs/{identity}/1/0", content='{"witnesses":[]}')):
        assert answer.status_code in (400, 404), (answer.status_code, answer.text)


@pytest.mark.parametrize("name", ["x", "-1", "00", "manifest.json", "..", "99999999999", "1e3"])
def test_hostile_ref_names_and_generations(worker: Cluster, name: str) -> None:
    target = json.dumps({"target": "0" * 64})
    assert call(worker, "PUT", f"/refs/a%2Fb/1/{name}", content=target).status_code in (400, 404)
    if name != "99999999999":
        assert call(worker, "PUT", f"/refs/a%2Fb/{name}/0", content=target).status_code in (400, 404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"target":7}', b'{"target":"xyz"}', b"\xff",
                                  b'{"target":"' + b"A" * 64 + b'"}'])
def test_ref_bodies_that_are_none(worker: Cluster, body: bytes) -> None:
    assert_refused(call(worker, "PUT", "/refs/a%2Fb/1/0", content=body), 400)


def test_a_ref_to_what_is_not_here(worker: Cluster) -> None:
    answer = call(worker, "PUT", "/refs/a%2Fb/1/0", content=json.dumps({"target": "0" * 64}))
    assert_refused(answer, 404, 409)


def some_chunk(cluster: Cluster) -> tuple[str, bytes]:
    name, file = sorted(cluster.chunk_files(RANK).items())[0]
    return name, file.read_bytes()


def test_a_chunk_under_a_wrong_name(worker: Cluster) -> None:
    _, chunk = some_chunk(worker)
    assert_refused(call(worker, "PUT", f"/chunks/{'0' * 64}", content=chunk), 422)


@pytest.mark.parametrize("place", [0, 8, 10, 12, 16, 20, 24, 40, -1])
def test_a_damaged_chunk(worker: Cluster, place: int) -> None:
    _, chunk = some_chunk(worker)
    damaged = bytearray(chunk)
    damaged[place] ^= 0x55
    name = hashlib.sha256(bytes(damaged)).hexdigest()
    assert_refused(call(worker, "PUT", f"/chunks/{name}", content=bytes(damaged)), 400, 422)


@pytest.mark.parametrize("name", ["short", "Z" * 64, "0" * 63, "0" * 65, "ABCDEF" + "0" * 58])
def test_names_that_are_no_digests(worker: Cluster, name: str) -> None:
    _, chunk = some_chunk(worker)
    assert_refused(call(worker, "PUT", f"/chunks/{name}", content=chunk), 400)
    assert_refused(call(worker, "GET", f"/chunks/{name}"), 400)
    assert_refused(call(worker, "GET", f"/manifests/{name}"), 400)


@pytest.mark.parametrize("body", [b"", b"x", b"grvchunk", b"\0" * 32, b"\xff" * 100])
def test_bodies_that_are_no_chunks(worker: Cluster, body: bytes) -> None:
    name = hashlib.sha256(body).hexdigest()
    assert_refused(call(worker, "PUT", f"/chunks/{name}", content=body), 400, 422)


def test_objects_under_a_wrong_name(worker: Cluster) -> None:
    for kind in ("shardlists", "manifests"):
        assert_refused(call(worker, "PUT", f"/{kind}/{'0' * 64}", content=b"{}"), 400, 422)
        junk = b"junk"
        name = hashlib.sha256(junk).hexdigest()
        assert_refused(call(worker, "PUT", f"/{kind}/{name}", content=junk), 400, 422)


def test_a_body_longer_than_a_chunk_can_be_is_refused_before_it_is_sent(worker: Cluster) -> None:
    answer = raw(worker, head("PUT", f"/chunks/{'0' * 64}", f"Content-Length: {2 ** 40}"))
    assert answer.split(b" ", 2)[1] in (b"400", b"413"), answer


def test_more_body_than_announced(worker: Cluster) -> None:
    name, chunk = some_chunk(worker)
    answer = raw(worker, head("PUT", f"/chunks/{name}", f"Content-Length: {len(chunk)}"), chunk,
                 b"and some more\r\n\r\n")
    # The chunk itself was right and is here already; what follows is no request.
    assert answer.startswith(b"HTTP/1.1 204"), answer
    assert answer.count(b"HTTP/1.1 4") <= 1


def test_less_body_than_announced(worker: Cluster) -> None:
    name, chunk = some_chunk(worker)
    raw(worker, head("PUT", f"/chunks/{'1' + name[1:]}", f"Content-Length: {len(chunk)}"),
        chunk[:100], close_early=True)


@pytest.mark.parametrize("begin", [
    pytest.param(b"", id="nothing"), pytest.param(b"PUT /chu", id="half_a_request_line"),
    pytest.param(b"PUT /chunks/x HTTP/1.1\r\nHost: localhost\r\nContent-Le", id="half_a_head"),
    pytest.param(head("PUT", f"/chunks/{'0' * 64}", "Content-Length: 1000") + b"x" * 10,
                 id="half_a_body")])
def test_a_slow_sender_meets_a_deadline(worker: Cluster, begin: bytes) -> None:
    began = time.monotonic()
    if begin:
        raw(worker, begin)
        assert time.monotonic() - began < IDLE_SECONDS + 8
    else:
        raw(worker, close_early=True)


@pytest.mark.parametrize("text", [
    b"garbage\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"PUT /chunks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"PUT /chunks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"PUT /chunks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"])
def test_what_is_no_http(worker: Cluster, text: bytes) -> None:
    answer = raw(worker, text)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] == b"4", answer[:200]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Host": "evil.example:5001"},
                                     {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_web_page_cannot_drive_a_worker_or_the_coordinator(worker: Cluster, headers: dict) -> None:
    assert_refused(call(worker, "GET", "/health", headers=headers), 403)
    path = worker.ckpt_root / "hostile/step_1/model.safetensors"
    answer = http.post(f"{worker.url}/store-shard", params={"ckpt_path": str(path)},
                       headers=headers)
    assert_refused(answer, 403)


def test_json_bodies_have_a_limit(worker: Cluster) -> None:
    digests = ["0" * 64] * 4097
    assert_refused(call(worker, "POST", "/chunks/missing?job=j",
                        content=json.dumps({"chunks": digests})), 400)
    body = b'{"chunks":[' + b" " * (2 ** 20) + b"]}"
    assert_refused(call(worker, "POST", "/chunks/missing?job=j", content=body), 400, 413)
    accepted = call(worker, "POST", "/chunks/missing?job=j",
                    content=json.dumps({"chunks": digests[:4096]}))
    assert accepted.json() == {"missing": ["0" * 64]}


def test_unknown_paths_and_methods(worker: Cluster) -> None:
    assert_refused(call(worker, "GET", "/nothing"), 404)
    assert_refused(call(worker, "POST", "/health"), 405)
    assert http.get(f"{worker.url}/nothing").status_code == 404
    assert http.get(f"{worker.url}/store-shard").status_code == 405


def test_a_pull_from_who_is_not_who_it_should_be(worker: Cluster) -> None:
    name, _ = some_chunk(worker)
    absent = "1" + name[1:]
    source = {"rank": 3, "id": "0" * 32, "host": "127.0.0.1", "port": worker.ports[2], "name": "pi-3"}
    answer = call(worker, "POST", "/pull?job=j",
                  content=json.dumps({"from": source, "chunks": [absent]}))
    lines = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
    assert [line["outcome"] for line in lines] == ["conflict"], lines


def test_another_worker_s_id_is_refused(worker: Cluster) -> None:
    answer = call(worker, "POST", "/chunks/missing?job=j&worker=" + "0" * 32,
                  content='{"chunks":[]}')
    assert_refused(answer, 409)
