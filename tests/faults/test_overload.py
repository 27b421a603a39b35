"""Slow, many and rude clients: the workers and the coordinator go on serving the others."""
import socket
import threading
import time

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done


def head(length: int) -> bytes:
    return (f"PUT /chunks/{'0' * 64}?job=slow HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


@pytest.fixture
def checkpoint(cluster: Cluster):
    return write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(20))


def test_senders_that_trickle_do_not_keep_others_out(cluster: Cluster, checkpoint) -> None:
    """More of them than a worker holds bodies: each byte comes before the idle deadline."""
    links = [socket.create_connection(("127.0.0.1", cluster.ports[1])) for _ in range(24)]
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(0.5):
            for link in links:
                try:
                    link.send(b"x")
                except OSError:
                    pass

    for link in links:
        link.sendall(head(4_000_000))
    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        began = time.monotonic()
        assert is_done(cluster.store(checkpoint))
        assert is_done(cluster.gather(checkpoint))
        assert time.monotonic() - began < 45
    finally:
        over.set()
        thread.join()
        for link in links:
            link.close()


@pytest.mark.parametrize("whose", ["worker", "coordinator"])
def test_idle_connections_do_not_keep_others_out(cluster: Cluster, checkpoint, whose: str) -> None:
    port = cluster.ports[1] if whose == "worker" else cluster.api_port
    links = []
    try:
        for _ in range(800):
            links.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        assert is_done(cluster.store(checkpoint))
        assert is_done(cluster.gather(checkpoint))
    finally:
        for link in links:
            link.close()


def test_a_client_that_never_reads_holds_up_nobody(cluster: Cluster, checkpoint) -> None:
    with socket.create_connection(("127.0.0.1", cluster.api_port)) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        link.sendall(f"POST /store-shard?ckpt_path={checkpoint} HTTP/1.1\r\n"
                     "Host: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        assert is_done(cluster.store(checkpoint))
        assert is_done(cluster.gather(checkpoint))


def test_many_checkpoints_at_once_within_the_memory_bounds(cluster: Cluster) -> None:
    paths = [write(cluster.ckpt_root / f"run{i}/step_1/model.safetensors", model(24, seed=i))
             for i in range(8)]
    results: dict[str, list[str]] = {}

    def work(path) -> None:
        results[f"store {path}"] = cluster.store(path)
        results[f"gather {path}"] = cluster.gather(path)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 16
    for name, lines in results.items():
        assert is_done(lines), f"{name}: {lines}"
    for path in paths:
        assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()
    assert cluster.coordinator.peak_rss_bytes() <= 256 * 2 ** 20
    for worker in cluster.workers.values():
        assert worker.peak_rss_bytes() <= 128 * 2 ** 20
