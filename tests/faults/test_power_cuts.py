"""Power cuts: what was not synced is gone, and nothing that was acknowledged is. And disks that fail or lie."""
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import shims
from harness.checkpoints import model, random_bytes
from harness.cluster import Cluster
from harness.promise import Ledger
from harness.waiting import wait_until

SEEDS = range(1, int(os.environ.get("FAULT_SEEDS", "2")) + 1)
SOON = 120  # seconds


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shims.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def make_house(make_cluster: Callable[..., Cluster], library: Path) -> Callable[..., tuple[Cluster, dict[int, shims.Disk]]]:
    """A cluster whose workers' power can be cut."""
    def make(lying: bool = False, **options: object) -> tuple[Cluster, dict[int, shims.Disk]]:
        cluster = make_cluster(start=False, **options)
        disks = {rank: shims.Disk(library, cluster, rank) for rank in cluster.ranks}
        for disk in disks.values():
            disk.start(**({"SHIM_IGNORE_SYNC": "1"} if lying else {}))
        cluster.start_coordinator()
        return cluster, disks

    return make


def store_some(ledger: Ledger, chance: random.Random, count: int) -> None:
    for number in range(count):
        seed = chance.randrange(1 << 20)
        content = model(chance.choice([0.2, 2, 9]), seed=seed) if chance.random() < 0.7 else random_bytes(700_000, seed)
        suffix = "safetensors" if content[8:9] == b"{" else "bin"
        path = ledger.cluster.ckpt_root / f"run1/step_{number}/model.{suffix}"
        assert ledger.store(path, content)


def cut_the_house(cluster: Cluster, disks: dict[int, shims.Disk], seed: int | None) -> None:
    for worker in cluster.workers.values():
        worker.popen.kill()
    cluster.coordinator.kill()
    for rank, disk in disks.items():
        disk.cut_power(None if seed is None else seed + rank)
    for disk in disks.values():
        disk.start()
    cluster.start_coordinator()


@pytest.mark.parametrize("seed", [None, *SEEDS])
def test_all_that_was_acknowledged_survives_a_power_cut_of_the_whole_house(make_house, seed: int | None) -> None:
    cluster, disks = make_house()
    ledger = Ledger(cluster)
    chance = random.Random(seed)
    store_some(ledger, chance, 4)
    ledger.store(ledger.paths()[0], model(2, seed=99))  # another generation of it
    cut_the_house(cluster, disks, seed)
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    assert cluster.run("verify").returncode == 0
    assert not cluster.temporary_files()


def test_a_disk_that_only_says_that_it_syncs_is_caught_by_these_tests(make_house) -> None:
    cluster, disks = make_house(lying=True)
    ledger = Ledger(cluster)
    store_some(ledger, random.Random(1), 2)
    for worker in cluster.workers.values():
        worker.popen.kill()
    cluster.coordinator.kill()
    for disk in disks.values():
        disk.cut_power()
    for rank, disk in disks.items():
        cluster.start_worker(rank, "--new", prefix=disk.environment())
    cluster.start_coordinator()
    with pytest.raises(AssertionError, match="cannot be gathered"):
        ledger.check_all()


@pytest.mark.parametrize("seed", SEEDS)
def test_power_cuts_at_random_moments(make_house, seed: int) -> None:
    """Of one worker, two, or all, while stores, gathers, repairs, deletions and collections run."""
    cluster, disks = make_house(collect_after="1s", repair_after="1s")
    ledger = Ledger(cluster)
    chance = random.Random(seed)
    store_some(ledger, chance, 3)
    for number in range(6):
        victims = chance.choice([[chance.choice(cluster.ranks)], chance.sample(cluster.ranks, 2), cluster.ranks])
        busy = threading.Thread(target=ledger.store, args=(
            cluster.ckpt_root / f"run2/step_{number}/model.safetensors", model(12, seed=seed * 100 + number)))
        busy.start()
        threading.Event().wait(chance.random() * 0.6)  # the moment is what is random
        print(f"seed {seed}: round {number}: the power of {victims} is cut")
        for rank in victims:
            cluster.workers[rank].popen.kill()
        for rank in victims:
            disks[rank].cut_power(chance.randrange(1 << 20))
            disks[rank].start()
        busy.join()
        ledger.check_all()
        if chance.random() < 0.4 and len(ledger.paths()) > 2:
            ledger.forget(chance.choice(ledger.paths()))
    ledger.wait_until_whole(SOON)
    ledger.check_all()
    assert cluster.run("verify").returncode == 0


@pytest.mark.parametrize("call", ["fdatasync:3", "fdatasync:9", "fsync:5", "pwrite:4", "pwrite:11"])
def test_after_a_failed_write_or_sync_nothing_acknowledged_is_lost(make_house, call: str) -> None:
    cluster, disks = make_house()
    ledger = Ledger(cluster)
    store_some(ledger, random.Random(7), 1)
    cluster.workers[2].kill()
    disks[2].start(SHIM_FAIL=call)
    # With a stand-in for it, or with it once it runs again: either way as promised.
    assert ledger.store(cluster.ckpt_root / "run1/step_9/model.safetensors", model(9, seed=5))
    if not cluster.workers[2].is_running():
        cluster.workers[2].may_end = True  # it ends on a sync that failed, and is started again
    disks[2].cut_power()
    disks[2].start()
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    assert cluster.run("verify").returncode == 0


@pytest.mark.parametrize("number", [12, 40])
def test_what_cannot_be_read_is_had_elsewhere_and_mended(make_house, number: int) -> None:
    cluster, disks = make_house()
    ledger = Ledger(cluster)
    store_some(ledger, random.Random(8), 2)
    cluster.workers[3].kill()
    disks[3].start(SHIM_FAIL=f"pread:{number}")
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    ledger.check_all()


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_that_jumps_by_a_year_costs_nothing(make_house, years: int) -> None:
    cluster, disks = make_house(collect_after="2s")
    ledger = Ledger(cluster)
    store_some(ledger, random.Random(9), 2)
    for disk in disks.values():
        disk.jump(years * 365 * 86_400)
    path = cluster.ckpt_root / "run1/step_9/model.safetensors"
    assert ledger.store(path, model(4, seed=5))
    assert ledger.store(path, model(4, seed=6))
    ledger.check_all()
    disks[1].jump(0)
    disks[2].jump(0)
    collections = cluster.workers[1].text().count("collection: ")
    wait_until(lambda: cluster.workers[1].text().count("collection: ") > collections + 1, "it has collected", 30)
    ledger.check_all()
    ledger.wait_until_whole(SOON)
