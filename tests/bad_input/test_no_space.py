"""Full disks: said before anything is sent where that is known; nothing is left behind."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import assert_one_error, is_done, matches


def with_small_disk(folder: Path, megabytes: int) -> list[str]:
    """What to put before a command that shall see a small file system at `folder`. It is mounted in
    a namespace of the process's own and goes with it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs {folder} && exec "$@"'
    return ["unshare", *user, "--mount", "bash", "-c", mount, "bash"]


@pytest.fixture
def can_mount(tmp_path: Path) -> None:
    trial = subprocess.run([*with_small_disk(tmp_path, 1), "true"], check=False, capture_output=True)
    if trial.returncode != 0:
        pytest.skip("this machine does not let us mount a small file system")


def test_a_merged_file_that_does_not_fit_is_said_before_anything_is_fetched(
        make_cluster, can_mount) -> None:
    cluster: Cluster = make_cluster(start=False, proxied=True)
    small = cluster.ckpt_root / "small"
    small.mkdir()
    cluster.prefix = with_small_disk(small, 4)
    cluster.start()
    path = write(cluster.ckpt_root / "run1/model.safetensors", model(12))
    assert is_done(cluster.store(path))
    for proxy in cluster.proxies.values():
        proxy.clear_requests()
    inside = Path(f"/proc/{cluster.coordinator.pid}/root{small}")
    wanted = small / "merged.safetensors"
    message = assert_one_error(cluster.gather(path, output=wanted))
    assert str(small) in message and "space" in message
    assert not list(inside.iterdir())
    assert not [request for proxy in cluster.proxies.values()
                for request in proxy.matching(r"^GET /chunks/")]


def test_a_full_worker_is_named_and_the_store_leaves_nothing_on_it(make_cluster) -> None:
    cluster: Cluster = make_cluster(start=False)
    total = shutil.disk_usage(cluster.folder).total
    cluster.write_config(reserve="1 %")
    for rank in (1, 2, 3):
        cluster.start_worker(rank)
    cluster.write_config(reserve=f"{total // 2 ** 30 + 1} GiB")  # more than there is
    cluster.start_worker(4)
    cluster.write_config(reserve="1 %", stand_ins=False)
    cluster.start_coordinator()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(4))
    lines = cluster.store(path)
    assert "2/8 sends failed" in assert_one_error(lines)
    assert {match["rank"] for match in matches(lines, "gave_up")} == {"4"}
    assert not matches(lines, "retry"), "a full disk is not mended by waiting"
    assert not cluster.chunk_files(4) and not list(cluster.data(4).glob("tmp/*"))
    assert not [ref for ref in cluster.refs(path) if ref[2] == "manifest"]


def test_a_worker_s_disk_that_fills_in_the_middle(make_cluster, can_mount) -> None:
    cluster: Cluster = make_cluster(start=False)
    for rank in (1, 2, 3):
        cluster.start_worker(rank)
    small = cluster.data(4)
    small.mkdir()
    worker = cluster.start_worker(4, "--new", prefix=with_small_disk(small, 16))
    cluster.write_config(stand_ins=False)
    cluster.start_coordinator()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(60))
    assert "sends failed" in assert_one_error(cluster.store(path))
    inside = Path(f"/proc/{worker.pid}/root{small}")
    assert not list(inside.glob("tmp/*"))
    # The worker is well: a checkpoint that fits is taken.
    fits = write(cluster.ckpt_root / "run1/step_2/model.safetensors", model(2))
    lines = cluster.store(fits)
    assert worker.is_running() and is_done(lines), lines


def test_fewer_workers_than_redundancy_is_said_before_anything_is_sent(make_cluster) -> None:
    cluster = make_cluster(start=False, workers=1, redundancy=1)
    cluster.start()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    assert is_done(cluster.store(path))
    cluster.write_config(redundancy=2)
    before = cluster.snapshot()
    answer = cluster.run("store", "--ckpt-path", str(path))
    assert answer.returncode in (1, 2)
    assert "redundancy" in answer.stdout + answer.stderr
    assert cluster.snapshot() == before
