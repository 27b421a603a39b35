"""A real disk that is full at a random moment of a store, a repair or a hand-back: nothing acknowledged is lost,
and once there is room again everything comes back to its place."""
import threading
from pathlib import Path

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.promise import Promise
from harness.seeds import Story, every_seed
from harness.small_disk import SmallDisk, can_mount_images

NAME = "run1/step_{}/model.safetensors"
MEGABYTES = 64


@pytest.fixture(autouse=True)
def can_mount(tmp_path: Path) -> None:
    if not can_mount_images(tmp_path / "probe"):
        pytest.skip("needs the right to mount an ext4 image (root), and mkfs.ext4")


def start(make_cluster, story: Story, **options: object) -> tuple[Cluster, Promise, SmallDisk]:
    cluster: Cluster = make_cluster(start=False, proxied=True, **options)
    disk = SmallDisk(cluster, story.choice(cluster.ranks), MEGABYTES)
    for rank in cluster.ranks:
        cluster.start_worker(rank, "--new")
    cluster.start_coordinator()
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(20, seed=1))
    return cluster, promise, disk


def fill_at_a_request(cluster: Cluster, disk: SmallDisk, story: Story, most: int) -> threading.Thread:
    """Fills the disk when one of the first `most` requests comes to its worker."""
    number, but = story.randrange(most), story.choice([0, 100_000, 3_000_000])
    rule = cluster.proxies[disk.rank].hold(r"^(?!GET /health)", skip=number)

    def wait_and_fill() -> None:
        if rule.reached.wait(15):
            disk.fill(but)
            story.tell(f"full but for {but} bytes at request {number}")
        rule.release()
        rule.end()

    filling = threading.Thread(target=wait_and_fill)
    filling.start()
    return filling


@every_seed(2)
def test_full_in_a_store(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, story)
    filling = fill_at_a_request(cluster, disk, story, 20)
    promise.must_store(NAME.format(2), model(40, seed=seed + 10))
    filling.join()
    promise.check()
    disk.free()
    promise.wait_safe()
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


@every_seed(1)
def test_full_in_a_repair(make_cluster, seed: int) -> None:
    """Of the worker whose lost copies are made again on it."""
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, story)
    promise.must_store(NAME.format(2), model(40, seed=seed + 10))
    cluster.workers[disk.rank].kill()
    disk.renew()
    filling = fill_at_a_request(cluster, disk, story, 12)
    cluster.start_worker(disk.rank, "--new")
    filling.join()
    promise.check()
    assert cluster.workers[disk.rank].is_running()
    disk.free()
    promise.wait_safe()
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


@every_seed(1)
def test_full_when_copies_come_home(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, story)
    cluster.workers[disk.rank].kill()
    promise.must_store(NAME.format(1), model(30, seed=seed + 10))  # others stand in
    filling = fill_at_a_request(cluster, disk, story, 12)
    cluster.start_worker(disk.rank)
    filling.join()
    promise.check()
    promise.wait_safe()  # whether at home or where they are
    disk.free()
    promise.wait_safe()
    other = disk.rank % 4 + 1
    cluster.workers[other].kill()
    promise.check()
