"""grove start -n N and grove join: a cluster that writes its own config."""
import json
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.http import http
from harness.ports import free_port
from harness.process import Process
from harness.waiting import wait_until

COMMENTED = """# Our rack.
ckpt_root: {root}   # the NAS
num_workers: 2
generations: 3        # keep some
keep_shards: false
devices_config:
  master:
    - {{host: coord, ip: 10.77.0.1, rank: 0, port: {port}}}
  workers:
    # top shelf
    - host: w2
      ip: 10.9.9.9    # before the move
      rank: 1
      port: 5001
    - host: gone
      ip: 10.9.9.8
      rank: 2
      port: 5002
"""


def start_master(cluster, count: int) -> Process:
    master = cluster.start_on("coord", "coordinator", "start", "-n", str(count), "--config",
                              str(cluster.config_path), "--ckpt-root", str(cluster.ckpt_root))
    master.wait_for_log(f"waiting for {count} workers")
    return master


def store(cluster, name: str) -> str:
    path = write(cluster.ckpt_root / "run" / name / "model.safetensors", model(1))
    return cluster.job("store-shard", path)[-1]


def test_workers_join_a_new_cluster_by_mdns_and_by_address(make_lab_cluster):
    cluster = make_lab_cluster(3)
    master = start_master(cluster, 3)
    first = cluster.start_on("w1", "join_1", "join")
    first.wait_for_log("1 of 3 workers are there")
    second = cluster.start_on("w2", "join_2", "join", "--host", "pi-two")
    second.wait_for_log("2 of 3 workers are there")
    third = cluster.start_on("w3", "join_3", "join", "--coordinator",
                             f"{cluster.coordinator.address}:5000", "--port", "6000")
    for rank, worker in enumerate((first, second, third), start=1):
        worker.wait_for_log(f"worker {rank} listening on")
    master.wait_for_log("API listening")
    text = cluster.config_path.read_text()
    for expected in ("host: w1", "host: pi-two", "ip: 10.77.0.4", "port: 6000", "num_workers: 3",
                     f"ckpt_root: {cluster.ckpt_root}"):
        assert expected in text, text
    assert store(cluster, "step_1") == "Done: 6/6 sends (2x replicated) → run/step_1"
    assert [row[:2] for row in cluster.rows()] == [(1, "w1"), (2, "pi-two"), (3, "w3")]


def test_an_existing_config_keeps_its_comments_keys_and_ranks(make_lab_cluster):
    cluster = make_lab_cluster(2)
    old = COMMENTED.format(root=cluster.ckpt_root, port=5000)
    cluster.config_path.write_text(old)
    master = start_master(cluster, 2)
    cluster.start_on("w1", "join_1", "join").wait_for_log("1 of 2 workers")
    cluster.start_on("w2", "join_2", "join").wait_for_log("worker 1 listening")
    master.wait_for_log("API listening")
    assert "rank 2 (gone)" not in master.text()  # its rank went to w1
    assert cluster.config_path.read_text() == old.replace(
        "10.9.9.9 ", f"{cluster.lab.host('w2').address} ").replace(
        "host: gone", "host: w1").replace("10.9.9.8", cluster.lab.host("w1").address)
    backups = list(cluster.folder.glob("config.yaml.*.bak"))
    assert [backup.read_text() for backup in backups] == [old]


def test_joining_again_keeps_the_rank_with_and_without_a_coordinator(make_lab_cluster):
    cluster = make_lab_cluster(2)
    master = start_master(cluster, 2)
    workers = {}
    for rank in (1, 2):
        workers[rank] = cluster.start_on(f"w{rank}", f"join_{rank}", "join")
        master.wait_for_log(f"{rank} of 2 workers")
    master.wait_for_log("API listening")
    assert store(cluster, "step_1").startswith("Done:")

    for process in (*workers.values(), master):
        process.send(signal.SIGTERM)
        wait_until(lambda: not process.is_running(), "it has stopped")
    alone = cluster.start_on("w2", "alone", "join")
    alone.wait_for_log("worker 2 listening")  # nobody waits: it goes on as what it was
    alone.send(signal.SIGTERM)
    wait_until(lambda: not alone.is_running(), "it has stopped")

    master = start_master(cluster, 2)
    cluster.start_on("w2", "again_2", "join").wait_for_log("1 of 2 workers")
    cluster.start_on("w1", "again_1", "join").wait_for_log("worker 1 listening")
    master.wait_for_log("API listening")
    assert not list(cluster.folder.glob("config.yaml.*.bak"))  # nothing had changed
    path = cluster.ckpt_root / "run" / "step_1" / "model.safetensors"
    assert cluster.job("gather-shards", path)[-1].startswith("Done:")


def test_several_workers_of_one_host_have_ports_and_names_of_their_own(make_lab_cluster):
    cluster = make_lab_cluster(1)
    master = start_master(cluster, 2)
    for number in (1, 2):
        data = cluster.folder / f"data_{number}"
        cluster.start_on("w1", f"join_{number}", "join", "--data", str(data))
        master.wait_for_log(f"{number} of 2 workers")
    master.wait_for_log("API listening")
    assert [row[0::3] for row in cluster.rows()] == [(1, 5001), (2, 5002)]
    assert store(cluster, "step_1").startswith("Done: 4/4")


def test_two_coordinators_that_wait_are_named_and_none_is_guessed(make_lab_cluster):
    cluster = make_lab_cluster(1, "coord2")
    start_master(cluster, 2)
    other = cluster.start_on("coord2", "other", "start", "-n", "2", "--config",
                             str(cluster.folder / "other.yaml"))
    other.wait_for_log("waiting for 2 workers")

    def both_are_named() -> bool:
        joined = cluster.start_on("w1", "join", "join")
        wait_until(lambda: not joined.is_running() or "has joined" in joined.text()
                   or "1 of 2" in joined.text(), "it found somebody")
        joined.kill()
        return "choose one of them with --coordinator" in joined.text() and all(
            cluster.lab.host(name).address in joined.text() for name in ("coord", "coord2"))
    wait_until(both_are_named, "both coordinators are named", 40)


def test_a_worker_that_leaves_gives_up_its_place(make_lab_cluster):
    cluster = make_lab_cluster(3)
    master = start_master(cluster, 2)
    gone = cluster.start_on("w1", "gone", "join")
    gone.wait_for_log("1 of 2 workers")
    gone.kill()
    master.wait_for_log(r"w1 .* has left: 0 of 2")
    for rank in (2, 3):
        cluster.start_on(f"w{rank}", f"join_{rank}", "join")
    master.wait_for_log("API listening")
    assert "host: w1" not in cluster.config_path.read_text()


def join_body(**changes: object) -> dict:
    return {"host": "pi", "id": "a" * 32} | changes


@pytest.fixture
def desk(tmp_path: Path):
    """A coordinator that waits for two workers, on a free port of this machine."""
    port = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(COMMENTED.format(root=tmp_path / "checkpoints", port=port)
                      + f"api: {{port: {free_port()}}}\n")
    process = Process("coordinator", [str(GROVE), "start", "-n", "2", "--config", str(config)],
                      tmp_path / "coordinator.log")
    process.wait_for_log("waiting for 2 workers")
    yield process, f"http://127.0.0.1:{port}"
    process.kill()


@pytest.mark.parametrize("body, says", [
    ("[]", "JSON object"), ("{", "JSON object"), (join_body(host=""), "host"),
    (join_body(host="x" * 256), "host"), (join_body(host="a\nb"), "host"), (join_body(id=7), "id"),
    (join_body(rank=0), "rank"), (join_body(rank=-1), "rank"), (join_body(rank="1"), "rank"),
    (join_body(rank=2**32), "rank"), (join_body(port=65536), "port"), (join_body(port=0), "port")])
def test_a_bad_join_is_refused_in_one_line(desk, body, says):
    process, url = desk
    content = body if isinstance(body, str) else json.dumps(body)
    answer = http.post(f"{url}/join", content=content)
    assert answer.status_code == 400
    assert says in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert "has joined" not in process.text()


def test_nothing_but_joins_is_served_while_waiting(desk):
    _, url = desk
    assert http.get(f"{url}/checkpoints").status_code == 404
    assert http.get(f"{url}/join").status_code == 405
    foreign = http.post(f"{url}/join", json=join_body(), headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403


def test_a_copied_data_folder_is_refused(desk):
    _, url = desk
    with httpx.Client(timeout=20, trust_env=False) as client:
        with client.stream("POST", f"{url}/join", json=join_body(rank=3)) as first:
            assert next(first.iter_lines()).strip() == '{"joined":1,"wanted":2}'
            second = http.post(f"{url}/join", json=join_body(id="b" * 32, rank=3))
            assert second.status_code == 409
            assert "both have the data of rank 3" in second.json()["detail"]


def test_a_join_that_would_make_a_bad_config_is_refused_and_the_others_go_on(desk, tmp_path):
    process, url = desk
    port = int(url.rsplit(":", 1)[1])
    api_port = int(re.search(r"api: {port: (\d+)}", (tmp_path / "config.yaml").read_text())[1])
    with httpx.Client(timeout=20, trust_env=False) as client:
        def refusal(**changes: object) -> str:
            answer = client.post(f"{url}/join", json=join_body(**changes))
            assert answer.status_code in (409, 507), answer.text
            assert "\n" not in answer.json()["detail"]
            return answer.json()["detail"]

        assert "no port is left for rank 4294962296" in refusal(rank=4294962296)
        assert "no port is left for rank 4294967295" in refusal(rank=2**32 - 1)
        assert f"port {port} of pi (127.0.0.1) is taken" in refusal(port=port)  # the coordinator's
        assert f"port {api_port} of pi (127.0.0.1) is taken" in refusal(port=api_port)  # its API's
        with client.stream("POST", f"{url}/join", json=join_body()) as first:
            first_lines = first.iter_lines()
            assert next(first_lines).strip() == '{"joined":1,"wanted":2}'
            # One that is known already is looked at as closely; its first join stays.
            assert "no port is left" in refusal(rank=2**32 - 1)
            with client.stream("POST", f"{url}/join", json=join_body(id="b" * 32)) as second:
                for rest in (first_lines, second.iter_lines()):
                    assert "config" in json.loads([line for line in rest if line.strip()][-1])
    process.wait_for_log("config written")
    assert "port: 5001" in (tmp_path / "config.yaml").read_text()


def test_joins_are_taken_only_while_it_waits(make_lab_cluster):
    cluster = make_lab_cluster(2)
    master = start_master(cluster, 2)
    for rank in (1, 2):
        cluster.start_on(f"w{rank}", f"join_{rank}", "join")
    master.wait_for_log("API listening")
    late = cluster.start_on("w1", "late", "join", "--coordinator",
                            f"{cluster.coordinator.address}:5000", data_home="late")
    late.wait_for_log("cannot join: .*connection refused; is grove start -n N waiting there?")
    wait_until(lambda: late.popen.poll() == 1, "it has ended with 1")


def test_ctrl_c_ends_the_wait_and_changes_nothing(desk, tmp_path):
    process, _ = desk
    before = (tmp_path / "config.yaml").read_text()
    process.send(signal.SIGINT)
    wait_until(lambda: process.popen.poll() == 130, "it has ended with 130")
    assert (tmp_path / "config.yaml").read_text() == before


def test_a_busy_master_port_is_named(tmp_path, grove):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        config = tmp_path / "config.yaml"
        config.write_text(COMMENTED.format(root=tmp_path / "checkpoints", port=port))
        done = grove("start", "-n", "2", "--config", str(config))
    assert done.returncode == 1
    assert str(port) in done.stderr and "in use" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["start", "-n", "0"], ["start", "-n", "1025"], ["start", "-n", "2", "--local", "2"],
    ["start", "--ckpt-root", "/x"], ["join", "--coordinator", "nowhere"],
    ["join", "--coordinator", "host:0"], ["join", "--coordinator", "host:65536"],
    ["join", "--coordinator", "::1:5000"], ["join", "--port", "0.5"]])
def test_wrong_usage_ends_with_2(grove, arguments):
    assert grove(*arguments).returncode == 2
