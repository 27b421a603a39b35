"""Chunks as deltas between real workers: the same on the disk, in bounded memory, durable once synced."""
import threading
from collections.abc import Callable

import httpx
import pytest

from harness.cluster import Cluster
from harness.deltas import Step, raw_chunk
from harness.http import http

MIB = 2 ** 20


def call(cluster: Cluster, rank: int, method: str, path: str, **options: object) -> httpx.Response:
    return http.request(method, cluster.worker_url(rank) + path, timeout=60, **options)


def put_base(cluster: Cluster, rank: int, step: Step) -> None:
    answer = call(cluster, rank, "PUT", f"/chunks/{step.base_digest}", content=raw_chunk(step.base))
    assert answer.status_code == 204, answer.text


def put_delta(cluster: Cluster, rank: int, step: Step) -> httpx.Response:
    return call(cluster, rank, "PUT", f"/chunks/{step.digest}?base={step.base_digest}", content=step.delta())


def pull(cluster: Cluster, rank: int, source: int, steps: list[Step]) -> None:
    health = call(cluster, source, "GET", "/health").json()
    order = {"from": {"rank": source, "id": health["id"], "host": "127.0.0.1", "port": cluster.ports[source],
                      "name": health["host"]},
             "chunks": [step.digest for step in steps], "bases": [step.base_digest for step in steps]}
    answer = call(cluster, rank, "POST", "/pull", json=order)
    assert answer.text.count('"outcome":"ok"') == len(steps), answer.text


def metric(cluster: Cluster, rank: int, name: str) -> int:
    lines = call(cluster, rank, "GET", "/metrics").text.splitlines()
    return int(next(line for line in lines if line.startswith(f"smoltorrent_{name} ")).split()[1])


def at_once(work: Callable[[Step], None], steps: list[Step]) -> None:
    failures: list[BaseException] = []

    def guarded(step: Step) -> None:
        try:
            work(step)
        except BaseException as failure:  # noqa: BLE001: told below, in the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@pytest.mark.parametrize("size", [64, 65_536, 4 * MIB], ids=["64_bytes", "64_KiB", "4_MiB"])
def test_what_came_as_a_delta_lies_on_the_disk_as_what_came_whole(make_cluster, size: int) -> None:
    cluster = make_cluster(workers=2)
    step = Step(size, 1)
    put_base(cluster, 1, step)
    assert put_delta(cluster, 1, step).status_code == 204
    answer = call(cluster, 2, "PUT", f"/chunks/{step.digest}", content=raw_chunk(step.raw))
    assert answer.status_code == 204
    for rank in (1, 2):
        assert call(cluster, rank, "GET", f"/chunks/{step.digest}").content == raw_chunk(step.raw)
        call(cluster, rank, "POST", "/sync")
        assert cluster.chunk_files(rank)[step.digest].read_bytes() == raw_chunk(step.raw)


def test_a_killed_worker_keeps_of_deltas_what_it_has_synced(make_cluster) -> None:
    cluster = make_cluster(workers=1, redundancy=1)
    synced, unsynced = Step(MIB, 1), Step(MIB, 2)
    for step in (synced, unsynced):
        put_base(cluster, 1, step)
    assert put_delta(cluster, 1, synced).status_code == 204
    call(cluster, 1, "POST", "/sync")
    assert put_delta(cluster, 1, unsynced).status_code == 204
    cluster.workers[1].kill()
    cluster.start_worker(1)
    assert call(cluster, 1, "GET", f"/chunks/{synced.digest}").content == raw_chunk(synced.raw)
    assert call(cluster, 1, "GET", f"/chunks/{unsynced.digest}").status_code == 404
    assert not cluster.temporary_files()
    assert put_delta(cluster, 1, unsynced).status_code == 204


def test_many_deltas_at_once_within_the_memory_bounds(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    steps = [Step(4 * MIB, seed) for seed in range(12)]
    for step in steps:
        put_base(cluster, 1, step)
        put_base(cluster, 2, step)

    def taken_and_given(step: Step) -> None:
        assert put_delta(cluster, 1, step).status_code == 204
        assert call(cluster, 1, "GET", f"/chunks/{step.digest}?base={step.base_digest}").status_code == 200
        pull(cluster, 2, 1, [step])

    at_once(taken_and_given, steps)
    assert metric(cluster, 1, "deltas_put_total") == 12
    assert metric(cluster, 2, "deltas_pulled_total") == 12
    for worker in cluster.workers.values():
        assert worker.peak_rss_bytes() <= 128 * MIB
