"""Taking a machine away on purpose, and disks that go away by themselves."""
import re
import subprocess
from pathlib import Path

import pytest

from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done
from harness.waiting import wait_until

SOON = 60  # seconds


def stored(cluster: Cluster, name: str, megabytes: float = 4) -> Path:
    path = write(cluster.ckpt_root / name, model(megabytes, seed=len(name)))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def copies_off(cluster: Cluster, path: Path, gone: int) -> dict[str, int]:
    """How many copies each shard has without that rank."""
    counts: dict[str, int] = {}
    for rank, _, name in cluster.refs(path):
        counts.setdefault(name, 0)
        counts[name] += rank != gone
    return counts


def holds_nothing(cluster: Cluster, rank: int, *paths: Path) -> bool:
    return all(held != rank for path in paths for held, _, _ in cluster.refs(path))


def presence(cluster: Cluster, rank: int) -> str:
    return cluster.get("/workers")["workers"][rank - 1]["presence"]


def test_a_drained_worker_may_be_taken_away(make_cluster) -> None:
    cluster = make_cluster()
    paths = [stored(cluster, f"run1/step_{step}/model.safetensors") for step in (1, 2)]
    done = cluster.run("drain", "--rank", "2")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "  rank 2 (pi-2) is to be emptied: nothing more is put there"
    assert any(re.match(r"  ✓ shard 1 of run1/step_1/model.safetensors copied to rank [14] \(pi-[14]\) from rank 2 \(pi-2\), "
                        r"rank 3 \(pi-3\): it leaves a worker that is to be emptied$", line) for line in lines), done.stdout
    assert lines[-1] == "Done: rank 2 (pi-2) may be taken away: others have all that it held (4 copies were made)"
    for path in paths:
        counts = copies_off(cluster, path, 2)
        assert all(counts[str(shard)] == 2 for shard in range(4)), counts
    assert presence(cluster, 2) == "draining"
    assert " draining " in cluster.run("status").stdout
    wait_until(lambda: holds_nothing(cluster, 2, *paths), "it has dropped what others have", SOON)
    # What is stored meanwhile goes to others at once.
    later = stored(cluster, "run1/step_3/model.safetensors")
    assert holds_nothing(cluster, 2, later)
    cluster.workers[2].kill()
    cluster.workers[3].kill()
    for path in [*paths, later]:
        lines = cluster.gather(path, output=cluster.folder / "back")
        assert is_done(lines), "\n".join(lines)
        assert (cluster.folder / "back").read_bytes() == path.read_bytes()


def test_a_drain_waits_for_the_stores_that_run(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(4))
    rule = cluster.proxies[2].hold(r"^PUT /refs/[^?]*/\d")
    with cluster.stream("store-shard", path) as store:
        next(store)
        rule.wait_reached()
        drain = subprocess.Popen([str(GROVE), "drain", "--rank", "2", "--config", str(cluster.config_path)],
                                 stdout=subprocess.PIPE, text=True)
        assert drain.stdout.readline() == "  rank 2 (pi-2) is to be emptied: nothing more is put there\n"
        assert drain.stdout.readline() == "  waiting for the running store of run1/step_1/model.safetensors\n"
        rule.release()
        assert is_done(list(store))
    rest = drain.communicate(timeout=SOON)[0]
    assert drain.returncode == 0 and "Done: rank 2 (pi-2) may be taken away" in rest, rest
    counts = copies_off(cluster, path, 2)
    assert all(counts[str(shard)] == 2 for shard in range(4)), counts


def test_a_drain_does_not_end_while_the_worker_is_silent(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = stored(cluster, "run1/step_1/model.safetensors")
    rule = cluster.proxies[2].hold(r"^GET /refs")
    drain = subprocess.Popen([str(GROVE), "drain", "--rank", "2", "--config", str(cluster.config_path)],
                             stdout=subprocess.PIPE, text=True)
    rule.wait_reached()
    cluster.workers[2].pause()
    rule.release()
    with pytest.raises(subprocess.TimeoutExpired):
        drain.wait(10)
    cluster.workers[2].resume()
    said = drain.communicate(timeout=SOON)[0]
    assert drain.returncode == 0 and "(4 copies were made)" not in said.splitlines()[0], said
    counts = copies_off(cluster, path, 2)
    assert all(counts[str(shard)] == 2 for shard in range(4)), counts


def test_a_drain_outlives_a_restart_and_can_be_undone(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    assert cluster.run("drain", "--rank", "2").returncode == 0
    wait_until(lambda: holds_nothing(cluster, 2, path), "it is empty", SOON)
    cluster.workers[2].kill()
    cluster.start_worker(2)
    assert presence(cluster, 2) == "draining"
    undone = cluster.run("drain", "--rank", "2", "--undo")
    assert undone.returncode == 0 and undone.stdout.startswith("Done: rank 2 (pi-2) takes copies again")

    def is_home() -> bool:
        held = {(rank, name) for rank, _, name in cluster.refs(path)}
        return {(2, "0"), (2, "1"), (2, "manifest")} <= held and len(held) == 12

    wait_until(is_home, "its copies are home again, and no other is left", SOON)


def test_a_worker_that_nobody_can_replace_is_not_emptied(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    path = stored(cluster, "run1/step_1/model.safetensors")
    refused = cluster.run("drain", "--rank", "2")
    assert refused.returncode == 1 and "still holds what no other worker can take" in refused.stdout, refused.stdout
    assert not holds_nothing(cluster, 2, path)
    assert presence(cluster, 2) == "draining"
    assert cluster.run("drain", "--rank", "2", "--undo").returncode == 0
    away = cluster.run("drain", "--rank", "9")
    assert away.returncode == 1 and "is no worker's rank" in away.stderr


def test_a_worker_taken_out_of_the_config_leaves_its_copies_to_others(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    everybody = cluster.settings["devices_config"]["workers"]
    cluster.write_config(num_workers=3, n_chunks=4, devices_config={"workers": everybody[:3]})
    cluster.workers[4].kill()

    def is_whole() -> bool:
        counts = copies_off(cluster, path, 4)
        return all(counts[str(shard)] == 2 for shard in range(4))

    wait_until(is_whole, "the three others have two copies of each shard, and no more", SOON)
    wait_until(lambda: cluster.newest()["safety"] == "safe",
               "and the manifest", SOON)


def test_an_unmounted_disk_is_noticed_and_not_filled(make_cluster, tmp_path: Path) -> None:
    cluster = make_cluster(start=False)
    disk = cluster.data(3)
    disk.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        for rank in (1, 2, 4):
            cluster.start_worker(rank)
        cluster.start_worker(3, "--new")
        cluster.start_coordinator()
        stored(cluster, "run1/step_1/model.safetensors")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        wait_until(lambda: presence(cluster, 3) in ("late", "down"), "the loss is noticed", SOON)
        assert "is its disk still mounted?" in cluster.get("/workers")["workers"][2]["detail"]
        path = stored(cluster, "run1/step_2/model.safetensors")
        assert list(disk.iterdir()) == []
        assert copies_off(cluster, path, 3)
        cluster.workers[3].kill()
        again = cluster.run("worker", "--rank", "3", "--data", str(disk), "--no-announce")
        assert again.returncode == 1
        assert "it is empty or missing, as a disk that is not mounted would be" in again.stderr
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)
