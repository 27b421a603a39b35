"""What is said of a checkpoint's safety, and waiting for it before a file is deleted."""
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done
from harness.waiting import wait_until

SOON = 60  # seconds


def stored(cluster: Cluster, name: str = "run1/step_1/model.safetensors") -> Path:
    path = write(cluster.ckpt_root / name, model(2, seed=1))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def status(cluster: Cluster, path: Path, *options: str) -> subprocess.CompletedProcess:
    return cluster.run("status", "--ckpt-path", str(path), *options)


@contextmanager
def waiting(cluster: Cluster, path: Path) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([str(GROVE), "status", "--ckpt-path", str(path), "--wait", "--config",
                                str(cluster.config_path)], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_safe_checkpoint_says_that_its_file_may_go(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    verdict = "safe: 2 of 2 verified copies on pi-1, pi-2, pi-3, pi-4: you may delete the local file"
    assert cluster.newest()["verdict"] == verdict
    assert abs(cluster.newest()["proven_ms"] / 1000 - time.time()) < 60
    shown = status(cluster, path)
    assert (shown.returncode, shown.stdout) == (0, verdict + "\n")
    path.unlink()
    assert status(cluster, path).returncode == 0


def test_what_is_not_stored_as_it_is_now_is_not_safe(make_cluster) -> None:
    cluster = make_cluster()
    path = write(cluster.ckpt_root / "model.safetensors", model(1, seed=1))
    assert (status(cluster, path).returncode, status(cluster, path).stdout) == (1, "not stored yet\n")
    assert is_done(cluster.store(path))
    write(path, model(1, seed=2))
    changed = status(cluster, path)
    assert changed.returncode == 1 and changed.stdout.startswith("not stored as the file is now; "), changed.stdout
    begun = time.monotonic()
    late = status(cluster, path, "--wait", "--timeout", "1")
    assert late.returncode == 1 and time.monotonic() - begun < 30


def test_wait_ends_when_the_copies_are_made_again(make_cluster) -> None:
    cluster = make_cluster(repair_after="4s")
    path = stored(cluster)
    cluster.workers[2].kill()

    def seen() -> dict | None:
        row = cluster.newest()
        return row if row["safety"] == "at_risk" else None
    row = wait_until(seen, "the loss shows", SOON)
    assert row["verdict"].startswith("at risk: 1 of 2 copies; pi-2 does not answer"), row
    waiting = subprocess.Popen([str(GROVE), "status", "--ckpt-path", str(path), "--wait", "--config",
                                str(cluster.config_path)], text=True, stdout=subprocess.PIPE)
    output, _ = waiting.communicate(timeout=SOON)
    assert waiting.returncode == 0, output
    assert output.splitlines()[-1].startswith("safe: 2 of 2 verified copies on ")
    assert any(line.startswith(("at risk: 1 of 2 copies", "healing: 1 of 2 copies")) for line in output.splitlines())


def test_healing_is_said_while_copies_are_being_made(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    stored(cluster)
    cluster.workers[3].kill()
    data = cluster.data(3)
    subprocess.run(["rm", "-rf", str(data)], check=True)
    rule = cluster.proxies[3].hold(r"^POST /pull")
    cluster.start_worker(3)
    wait_until(lambda: cluster.newest()["safety"] == "healing", "it says so", SOON)
    assert cluster.newest()["verdict"] == "healing: 1 of 2 copies; being made again on pi-3"
    rule.wait_reached(SOON)
    rule.drop()
    wait_until(lambda: cluster.newest()["safety"] == "safe", "it is safe again", 2 * SOON)


def test_lost_names_the_shards(make_cluster) -> None:
    cluster = make_cluster(repairs=False)
    path = stored(cluster)
    for rank in (1, 2):
        cluster.workers[rank].kill()
        subprocess.run(["rm", "-rf", str(cluster.data(rank))], check=True)
        cluster.start_worker(rank)
    assert cluster.newest()["verdict"] == "lost: shard 0 has no sound copy on any worker"
    begun = time.monotonic()
    lost = status(cluster, path, "--wait")
    assert lost.returncode == 1 and lost.stdout.startswith("lost: shard 0 ")
    assert time.monotonic() - begun < 20
    cluster.workers[3].kill()
    assert cluster.newest()["verdict"].startswith("out of reach: "), cluster.newest()


def test_a_touched_file_is_stored_as_it_is(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    os.utime(path, (1, 1))
    assert status(cluster, path).returncode == 0, status(cluster, path).stdout
    assert is_done(cluster.store(path))  # keeps the generation and its time
    shown = status(cluster, path, "--wait", "--timeout", "30")
    assert shown.returncode == 0 and shown.stdout.splitlines()[-1].startswith("safe: 2 of 2"), shown
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)  # of the same size
    shown = status(cluster, path)
    assert shown.returncode == 1 and shown.stdout.startswith("not stored as the file is now; "), shown


def test_a_touched_file_is_read_once_however_often_one_asks(make_cluster) -> None:
    cluster = make_cluster(workers=2, redundancy=2)
    path = write(cluster.ckpt_root / "model.safetensors", model(64, seed=1))
    assert is_done(cluster.store(path))
    os.utime(path, (1, 1))

    def asked() -> dict:
        return cluster.get(f"/checkpoints?ckpt_path={path}")

    def read_bytes() -> int:
        counts = Path(f"/proc/{cluster.coordinator.pid}/io").read_text()
        return int(next(line.split()[1] for line in counts.splitlines() if line.startswith("rchar")))

    digest = wait_until(lambda: asked()["file"]["sha256"], "it was read", SOON)
    assert digest == asked()["checkpoints"][0]["generations"][0]["sha256"]
    before = read_bytes()
    assert all(asked()["file"]["sha256"] == digest for _ in range(5))
    assert read_bytes() - before < path.stat().st_size


def test_a_file_that_cannot_be_looked_at_is_no_file_that_is_gone(make_cluster) -> None:
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    cluster = make_cluster(prefix=prefix)
    path = stored(cluster)
    path.chmod(0)
    shown = status(cluster, path)
    assert (shown.returncode, shown.stdout) == (1, ""), shown
    assert shown.stderr.startswith(f"ERROR: cannot open {path}: ") and shown.stderr.count("\n") == 1, shown
    path.unlink()
    path.mkdir()
    shown = status(cluster, path)
    assert shown.returncode == 1 and "it is a folder" in shown.stderr, shown
    path.rmdir()
    assert status(cluster, path).returncode == 0


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_was_forgotten_is_not_waited_for(make_cluster, is_gone: bool) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    assert cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0
    if is_gone:
        path.unlink()
    shown = status(cluster, path, "--wait")
    assert (shown.returncode, shown.stdout) == (1, "not stored: it was forgotten on purpose\n"), shown


def test_a_mistyped_path_is_not_waited_for(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    shown = status(cluster, path.with_name("modle.safetensors"), "--wait")
    assert (shown.returncode, shown.stdout) == (
        1, "neither stored, on 4 of 4 workers that answer, nor is there such a file\n"), shown


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_wait_outlives_a_restart_of_the_coordinator(make_cluster, how: str) -> None:
    cluster = make_cluster(repair_after="4s")
    path = write(cluster.ckpt_root / "model.safetensors", model(1, seed=1))
    with waiting(cluster, path) as process:
        assert process.stdout.readline() == "not stored yet\n"
        getattr(cluster.coordinator, how)()
        said = process.stderr.readline()
        assert said.startswith("waiting for the API: "), said
        time.sleep(5)
        cluster.start_coordinator()
        assert is_done(cluster.store(path))
        output, errors = process.communicate(timeout=SOON)
    assert process.returncode == 0 and output.splitlines()[-1].startswith("safe: "), (output, errors)
    assert errors == "", errors  # said once
    cluster.coordinator.kill()
    shown = status(cluster, path)  # who does not wait is told at once
    assert shown.returncode == 1 and shown.stderr.startswith("ERROR: "), shown
    late = status(cluster, path, "--wait", "--timeout", "3")
    assert late.returncode == 1 and late.stderr.startswith("waiting for the API: "), late


def test_what_is_forgotten_shows_nowhere_though_a_worker_has_not_heard(make_cluster) -> None:
    cluster = make_cluster(repairs=False)
    path = stored(cluster)
    cluster.coordinator.kill()
    cluster.workers[2].kill()
    cluster.start_coordinator()
    assert cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0
    cluster.start_worker(2)
    assert {rank for rank, _, _ in cluster.refs(path)} == {2}
    answer = cluster.get("/checkpoints")
    assert answer["checkpoints"] == [] and len(answer["tombstones"]) == 1, answer
    assert cluster.get("/checkpoints?brief=true")["checkpoints"] == []
    assert cluster.get(f"/checkpoints?ckpt_path={path}")["checkpoints"] == []
    assert str(cluster.identity(path)) not in cluster.run("ls").stdout
