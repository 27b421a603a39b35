"""grove doctor: what is wrong with a cluster, and what to do; also without a coordinator."""
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.fake_worker import FakeWorker
from harness.lines import is_done
from harness.process import Process
from harness.waiting import wait_until

CHECKS = ["config", "ckpt_root", "API", "coordinators", "workers", "identities", "versions", "clocks", "disk space",
          "file systems", "machines", "mDNS", "draining", "checkpoints"]


def troubled_here(folder: Path) -> set[str]:
    """The checks that find something wrong with the machine that runs the tests."""
    usage = shutil.disk_usage(folder)
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], text=True, capture_output=True,
                          check=True).stdout.strip()
    return ({"disk space"} if usage.free < usage.total / 10 else set()) | (
        {"file systems"} if kind in ("tmpfs", "overlayfs", "ramfs", "fuseblk", "v9fs", "nfs") else set())


def wrong(cluster: Cluster, expected: str = "") -> list[tuple[str, str, str]]:
    """(check, text, remedy) of all that is wrong, but for what is wrong here anyway."""
    result = cluster.run("doctor", "--json")
    document = json.loads(result.stdout)
    found = [row for row in document["findings"] if row["state"] == "wrong"]
    assert result.returncode == (1 if found else 0) and document["ok"] == (not found), result
    assert all(row["remedy"] for row in found)
    excused = troubled_here(cluster.folder) - {expected}
    return [(row["check"], row["text"], row["remedy"]) for row in found if row["check"] not in excused]


def only(cluster: Cluster, check: str) -> tuple[str, str]:
    """Text and remedy of the one thing that is wrong."""
    found = wrong(cluster, check)
    assert len(found) == 1 and found[0][0] == check, found
    return found[0][1:]


@pytest.fixture
def fake(make_cluster: Callable[..., Cluster]) -> Iterator[Callable[..., Cluster]]:
    """Makes a cluster of two whose worker 2 is a fake, as told."""
    fakes: list[FakeWorker] = []

    def make(**options: object) -> Cluster:
        cluster = make_cluster(workers=2, start=False)
        cluster.start_worker(1)
        fakes.append(FakeWorker(cluster.ports[2], **{"rank": 2, **options}))
        cluster.start_coordinator()
        return cluster

    yield make
    for each in fakes:
        each.close()


def test_a_healthy_cluster(make_cluster) -> None:
    cluster = make_cluster()
    assert not wrong(cluster)
    rows = json.loads(cluster.run("doctor", "--json").stdout)["findings"]
    assert list(dict.fromkeys(row["check"] for row in rows)) == CHECKS
    result = cluster.run("doctor")
    lines = result.stdout.splitlines()
    assert f"  ✓ config: {cluster.config_path}: 4 workers, 2 copies of each of 4 shards" in lines
    assert f"  ✓ API: a coordinator answers at 127.0.0.1:{cluster.api_port}" in lines
    assert "  ✓ workers: all 4 answer at their addresses, as themselves" in lines
    assert "  · machines: all workers are on this one: what it loses is lost" in result.stdout
    if not troubled_here(cluster.folder):
        assert result.returncode == 0 and lines[-1] == "Done: nothing is wrong"
    assert not result.stderr


def test_a_worker_that_is_down(make_cluster) -> None:
    cluster = make_cluster()
    cluster.workers[2].kill()
    text, remedy = only(cluster, "workers")
    assert text == f"rank 2: pi-2 (127.0.0.1:{cluster.ports[2]}): connection refused"
    assert "grove worker --rank 2" in remedy
    result = cluster.run("doctor")
    assert result.returncode == 1 and f"  ✗ workers: {text}; {remedy}" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1].startswith("ERROR: ")


def test_checkpoints_at_risk_and_lost(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    assert is_done(cluster.store(path))
    done = cluster.run("doctor").stdout.splitlines()
    assert "  ✓ checkpoints: 1 stored, none at risk" in done, done
    cluster.workers[2].kill()
    texts = {check: text for check, text, _ in wrong(cluster)}
    assert texts["checkpoints"].startswith(
        "1 of 1 at risk or out of reach: run1/step_1/model.safetensors is at risk: 1 of 2 copies; pi-2 does not answer")
    cluster.lose_disk(2)
    cluster.start_worker(2)
    cluster.lose_disk(1)
    cluster.start_worker(1)
    assert not wrong(cluster)  # nobody knows of it any more


def test_two_workers_whose_addresses_are_swapped(make_cluster) -> None:
    cluster = make_cluster()
    devices = [cluster.device(rank) for rank in cluster.ranks]
    devices[0]["port"], devices[1]["port"] = devices[1]["port"], devices[0]["port"]
    cluster.write_config(devices_config={"workers": devices})
    found = wrong(cluster)
    assert [check for check, *_ in found] == ["workers", "workers"]
    assert found[0][1] == f"rank 1 (pi-1): 127.0.0.1:{cluster.ports[2]} answers as rank 2 (pi-2)"
    assert str(cluster.config_path) in found[0][2]


def test_a_full_disk(make_cluster) -> None:
    cluster = make_cluster(workers=2, reserve="1000000 GiB")
    found = wrong(cluster, "disk space")
    assert [check for check, *_ in found] == ["disk space"] * 2
    assert found[0][1].startswith("rank 1 (pi-1) takes nothing more: ")


def test_data_in_memory(make_cluster) -> None:
    cluster = make_cluster(workers=2, start=False)
    disk = cluster.data(1)
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=False,
                             capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        cluster.start_worker(1, "--new")
        cluster.start_worker(2)
        cluster.start_coordinator()
        found = [text for check, text, _ in wrong(cluster, "file systems") if check == "file systems"]
        assert "that of rank 1 (pi-1) (tmpfs) is kept in memory and is gone when the machine starts again" in found
    finally:
        for process in cluster.processes():
            process.kill()
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_without_a_coordinator(make_cluster) -> None:
    cluster = make_cluster()
    cluster.coordinator.kill()
    text, remedy = only(cluster, "API")
    assert "no coordinator runs" in text and "the port is free" in text and remedy == "start it: grove start"
    cluster.workers[3].kill()
    assert [check for check, *_ in wrong(cluster)] == ["API", "workers"]


def test_another_program_at_the_api_s_port(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    cluster.coordinator.kill()
    other = FakeWorker(cluster.api_port, 1, body=b"<html>Not Found</html>")
    try:
        text, remedy = only(cluster, "API")
    finally:
        other.close()
    assert text == f"what answers at 127.0.0.1:{cluster.api_port} is no grove of this version"
    assert "api.port" in remedy


def test_two_coordinators(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    second = cluster.folder / "second.yaml"
    second.write_text(cluster.config_path.read_text().replace(str(cluster.api_port), str(cluster.free_port())))
    other = Process("second", [str(GROVE), "start", "--config", str(second), "--no-watch", "--no-repair"],
                    cluster.folder / "second.log")
    try:
        other.wait_for_log("API listening")
        found = wait_until(lambda: wrong(cluster), "the workers have heard of both")
    finally:
        other.kill()
    assert {check for check, *_ in found} == {"coordinators"}
    assert found[0][1] == "2 look after rank 1 (pi-1)" and "stop all but one" in found[0][2]


def test_a_coordinator_of_another_config(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    copy = cluster.folder / "copy.yaml"
    copy.write_text(cluster.config_path.read_text())
    result = subprocess.run([str(GROVE), "doctor", "--json", "--config", str(copy)], text=True,
                            capture_output=True, check=False)
    [row] = [row for row in json.loads(result.stdout)["findings"] if row["check"] == "API"]
    assert row["state"] == "note" and f"goes by {cluster.config_path}" in row["text"]


def test_a_config_that_is_wrong_or_missing(make_cluster, grove) -> None:
    cluster = make_cluster(workers=2, start=False)
    cluster.write_config(redundency=2)
    result = cluster.run("doctor")
    assert result.returncode == 1
    assert result.stdout.startswith(f"  ✗ config: {cluster.config_path}:") and "redundancy" in result.stdout
    missing = grove("doctor", "--json", "--config", str(cluster.folder / "absent.yaml"))
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["findings"][0]["check"] == "config"


def test_a_root_that_is_not_there(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    cluster.ckpt_root.rmdir()
    text, remedy = only(cluster, "ckpt_root")
    assert text == f"{cluster.ckpt_root} is not there" and str(cluster.config_path) in remedy


def test_another_version(fake) -> None:
    text, remedy = only(fake(version="0.0.9"), "versions")
    assert text == "rank 2 (pi-2) runs grove 0.0.9, and this is 0.1.0" and "scripts/launch.sh" in remedy


@pytest.mark.parametrize(("seconds", "words"), [(3600, "ahead of"), (-61, "behind")])
def test_a_clock_that_is_off(fake, seconds: int, words: str) -> None:
    text, remedy = only(fake(clock_ahead=seconds), "clocks")
    assert text.startswith("that of rank 2 (pi-2) is ") and f" s {words} this machine's" in text
    assert abs(float(text.split(" is ")[1].split()[0]) - abs(seconds)) < 2
    assert "timedatectl" in remedy


def test_a_clock_that_is_hardly_off(fake) -> None:
    assert not wrong(fake(clock_ahead=1))


def test_a_copied_data_folder(fake) -> None:
    cluster = fake()
    cluster.workers[1].kill()
    first = FakeWorker(cluster.ports[1], 1, id=f"{2:032x}")
    try:
        text, remedy = only(cluster, "identities")
    finally:
        first.close()
    assert text.startswith("rank 1 (pi-1) and rank 2 (pi-2) have one id") and "--new" in remedy


def test_what_is_no_worker(fake) -> None:
    text, remedy = only(fake(body=b"{}"), "workers")
    assert text.startswith("rank 2: ") and "no worker of this version" in remedy


def test_what_only_deserves_a_note(fake) -> None:
    cluster = fake(draining=True, host="another-name")
    assert not wrong(cluster)
    notes = {row["check"]: row["text"] for row in json.loads(cluster.run("doctor", "--json").stdout)["findings"]
             if row["state"] == "note"}
    assert notes["draining"] == "rank 2 (pi-2) is being emptied"
    assert notes["workers"] == "rank 2 (pi-2) has another config: there it is another-name"


def doctor_in(cluster) -> dict[str, list[dict]]:
    done = cluster.coordinator.run(["env", "HOME=/nonexistent", GROVE, "doctor", "--json", "--config",
                                    cluster.config_path], check=False)
    found: dict[str, list[dict]] = {}
    for row in json.loads(done.stdout)["findings"]:
        found.setdefault(row["check"], []).append(row)
    return found


def test_on_a_network_of_their_own(make_lab_cluster) -> None:
    cluster = make_lab_cluster(2, "other").start()
    wait_until(lambda: len(cluster.rows(timeout=2)) == 2, "both are announced")
    found = doctor_in(cluster)
    for check in ("workers", "machines", "mDNS", "coordinators"):
        assert [row["state"] for row in found[check]] == ["fine"], found[check]
    # A worker that moved, a stranger with another's name, and a coordinator that waits.
    cluster.lab.host("w2").ip("addr flush dev eth0 scope global", "addr add 10.77.0.99/24 dev eth0")
    waiting = cluster.start_on("other", "waiting", "start", "-n", "3", "--config",
                               str(cluster.folder / "other.yaml"))
    waiting.wait_for_log("waiting for 3 workers")

    def all_are_found() -> dict | None:
        told = doctor_in(cluster)
        is_complete = "10.77.0.99" in told["workers"][0]["remedy"] and told["coordinators"][0]["state"] == "wrong"
        return told if is_complete else None

    found = wait_until(all_are_found, "the doctor has heard of both", 40)
    assert found["workers"][0]["text"].startswith("rank 2: w2 (")
    assert "it is announced at 10.77.0.99:5002" in found["workers"][0]["remedy"]
    assert "one waits for workers at other (" in found["coordinators"][0]["text"]


def test_two_workers_on_one_machine(make_lab_cluster) -> None:
    cluster = make_lab_cluster(2)
    cluster.write_config([cluster.device(1), cluster.device(2, cluster.lab.host("w1").address)])
    for rank in cluster.ranks:
        cluster.start_worker(rank, host="w1")
    found = doctor_in(cluster)
    assert found["machines"][0]["state"] == "wrong"
    assert "rank 1 (w1) and rank 2 (w2) are on one" in found["machines"][0]["text"]
    assert found["API"][0]["state"] == "wrong"
