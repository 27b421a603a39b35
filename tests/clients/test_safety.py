"""What is said of a checkpoint's safety, and waiting for it before a file is deleted."""
import subprocess
import time
from pathlib import Path

from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done
from harness.waiting import wait_until

SOON = 60  # seconds


def newest(cluster: Cluster) -> dict:
    return cluster.get("/checkpoints")["checkpoints"][0]["generations"][0]


def stored(cluster: Cluster, name: str = "run1/step_1/model.safetensors") -> Path:
    path = write(cluster.ckpt_root / name, model(2, seed=1))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def status(cluster: Cluster, path: Path, *options: str) -> subprocess.CompletedProcess:
    return cluster.run("status", "--ckpt-path", str(path), *options)


def test_a_safe_checkpoint_says_that_its_file_may_go(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    verdict = "safe: 2 of 2 verified copies on pi-1, pi-2, pi-3, pi-4: you may delete the local file"
    assert newest(cluster)["verdict"] == verdict
    assert abs(newest(cluster)["proven_ms"] / 1000 - time.time()) < 60
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
    wait_until(lambda: newest(cluster)["safety"] == "at_risk", "the loss shows", SOON)
    assert newest(cluster)["verdict"].startswith("at risk: 1 of 2 copies; pi-2 does not answer"), newest(cluster)
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
    wait_until(lambda: newest(cluster)["safety"] == "healing", "it says so", SOON)
    assert newest(cluster)["verdict"] == "healing: 1 of 2 copies; being made again on pi-3"
    rule.wait_reached(SOON)
    rule.drop()
    wait_until(lambda: newest(cluster)["safety"] == "safe", "it is safe again", 2 * SOON)


def test_lost_names_the_shards(make_cluster) -> None:
    cluster = make_cluster(repairs=False)
    path = stored(cluster)
    for rank in (1, 2):
        cluster.workers[rank].kill()
        subprocess.run(["rm", "-rf", str(cluster.data(rank))], check=True)
        cluster.start_worker(rank)
    assert newest(cluster)["verdict"] == "lost: shard 0 has no sound copy on any worker"
    begun = time.monotonic()
    lost = status(cluster, path, "--wait")
    assert lost.returncode == 1 and lost.stdout.startswith("lost: shard 0 ")
    assert time.monotonic() - begun < 20
    cluster.workers[3].kill()
    assert newest(cluster)["verdict"].startswith("out of reach: "), newest(cluster)
