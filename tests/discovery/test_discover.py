"""GET /discover and grove discover between hosts."""
import json
import signal
import threading
import time

import pytest

from harness.binary import GROVE
from harness.http import http
from harness.waiting import wait_until


def test_answers_exactly_the_references_fields_sorted_by_rank(make_lab_cluster):
    cluster = make_lab_cluster(3).start()
    document = cluster.discover(30)
    assert list(document) == ["workers"]
    assert [list(row) for row in document["workers"]] == [["ip", "port", "rank", "hostname"]] * 3
    assert document["workers"] == [
        {"ip": cluster.lab.host(f"w{rank}").address, "port": 5000 + rank, "rank": rank,
         "hostname": f"w{rank}"} for rank in (1, 2, 3)]


def test_ends_early_once_every_worker_of_the_config_has_answered(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    began = time.monotonic()
    assert cluster.rows(timeout=100) == [cluster.row(1), cluster.row(2)]
    assert time.monotonic() - began < 50


def test_never_takes_longer_than_the_timeout(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    cluster.lab.cut("w2")
    began = time.monotonic()
    assert cluster.rows(timeout=3) == [cluster.row(1)]
    assert 3 <= time.monotonic() - began < 6


def test_without_a_timeout_it_looks_for_ten_seconds(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    cluster.lab.cut("w2")
    began = time.monotonic()
    assert cluster.call("/discover").stdout.endswith("200")
    assert 10 <= time.monotonic() - began < 13


def test_a_worker_that_freezes_after_its_first_answer_does_not_hold_it_up(make_lab_cluster):
    cluster = make_lab_cluster(2)
    cluster.write_config()
    frozen = [cluster.start_worker(rank) for rank in cluster.ranks][1]
    cluster.start_coordinator()
    assert len(cluster.rows()) == 2
    timer = threading.Timer(0.4, frozen.pause)
    timer.start()
    began = time.monotonic()
    assert cluster.row(1) in cluster.rows(timeout=1)
    assert time.monotonic() - began < 1.8
    timer.join()
    frozen.resume()


def test_has_one_row_for_a_worker_with_many_addresses(make_lab_cluster):
    cluster = make_lab_cluster(2)
    cluster.lab.host("w1").ip("addr add 10.77.0.101/24 dev eth0", "addr add fd00:77::1/64 dev eth0")
    cluster.lab.host("coord").ip("addr add fd00:77::9/64 dev eth0")
    cluster.start()
    rows = cluster.rows()
    assert [row[0] for row in rows] == [1, 2]
    assert rows[0][2] in (cluster.lab.host("w1").address, "10.77.0.101")


def test_leaves_out_a_worker_at_once_when_it_stops_or_is_killed(make_lab_cluster):
    cluster = make_lab_cluster(3)
    cluster.write_config()
    workers = {rank: cluster.start_worker(rank) for rank in cluster.ranks}
    cluster.start_coordinator()
    assert len(cluster.rows()) == 3
    workers[1].send(signal.SIGTERM)
    workers[2].kill()
    wait_until(lambda: not workers[1].is_running(), "the worker has stopped")
    assert cluster.rows(timeout=2) == [cluster.row(3)]


def test_finds_workers_that_the_config_does_not_name(make_lab_cluster):
    cluster = make_lab_cluster(3)
    cluster.write_config()
    for rank in cluster.ranks:
        cluster.start_worker(rank)
    cluster.write_config([cluster.device(1), cluster.device(2)])
    cluster.start_coordinator()
    wait_until(lambda: cluster.rows() == [cluster.row(rank) for rank in (1, 2, 3)], "all are found")


def test_the_command_prints_a_table_or_json(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    command = [str(GROVE), "discover", "--config", str(cluster.config_path)]
    table = cluster.coordinator.run(command).stdout.splitlines()
    assert table[0].split() == ["RANK", "HOST", "ADDRESS"]
    assert [line.split() for line in table[1:]] == [
        [str(rank), f"w{rank}", f"{cluster.lab.host(f'w{rank}').address}:{5000 + rank}"]
        for rank in (1, 2)]
    rows = json.loads(cluster.coordinator.run([*command, "--json", "--timeout", "20"]).stdout)
    assert [row["rank"] for row in rows["workers"]] == [1, 2]


def test_the_command_says_when_nobody_answers(make_lab_cluster):
    cluster = make_lab_cluster(2)
    cluster.write_config()
    cluster.start_coordinator()
    done = cluster.coordinator.run([str(GROVE), "discover", "--timeout", "0.5", "--config",
                                    str(cluster.config_path)])
    assert done.stdout == ""
    assert "no worker answers on this network" in done.stderr


@pytest.mark.parametrize("timeout", ["0.09", "300.1", "-1", "nan", "inf", "ten", "", "5s", "1e999"])
def test_a_timeout_out_of_range_is_refused(cluster, timeout):
    answer = http.get(f"{cluster.url}/discover", params={"timeout": timeout})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("timeout must be a number of seconds from 0.1 to 300")
