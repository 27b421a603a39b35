"""The coordinator's watch over its workers: changes as log lines, in GET /workers and in the metrics."""
import time

import pytest

from harness.cluster import Cluster
from harness.http import http
from harness.waiting import wait_until

NOTICED_WITHIN = 10  # seconds


def presence(cluster: Cluster, rank: int) -> str:
    return next(worker["presence"] for worker in cluster.get("/workers")["workers"] if worker["rank"] == rank)


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_worker_that_is_gone_is_noticed_and_so_is_its_return(make_cluster, how: str) -> None:
    cluster: Cluster = make_cluster(workers=3)
    wait_until(lambda: all(presence(cluster, rank) == "up" for rank in cluster.ranks), "all workers are up")
    worker = cluster.workers[2]
    began = time.monotonic()
    worker.kill() if how == "killed" else worker.pause()
    cluster.coordinator.wait_for_log(r"rank 2 \(pi-2\) is late: ", seconds=20)
    cluster.coordinator.wait_for_log(r"rank 2 \(pi-2\) is down: ", seconds=20)
    assert time.monotonic() - began < NOTICED_WITHIN + 1  # the log is read a little later
    assert presence(cluster, 2) == "down"
    if how == "killed":
        cluster.start_worker(2)
    else:
        worker.resume()
    cluster.coordinator.wait_for_log(r"rank 2 \(pi-2\) is up again, after \d+ s", seconds=20)
    assert presence(cluster, 2) == "up"
    metrics = http.get(cluster.url + "/metrics", timeout=30).text
    for state in ("late", "down", "up"):
        assert f'smoltorrent_worker_changes_total{{presence="{state}",rank="2"}} 1' in metrics


def test_a_full_worker_is_told(make_cluster) -> None:
    cluster: Cluster = make_cluster(start=False, workers=3, reserve="1 %")
    for rank in (1, 2):
        cluster.start_worker(rank)
    cluster.write_config(reserve="999999 GiB")
    cluster.start_worker(3)
    cluster.write_config(reserve="1 %")
    cluster.start_coordinator()
    cluster.coordinator.wait_for_log(r"rank 3 \(pi-3\) is full: \d+ MiB are free, and \d+ are to stay free", seconds=20)
    assert presence(cluster, 3) == "full"
