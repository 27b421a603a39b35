"""A disk that fails: EIO on reads, writes and syncs of one worker, at a call that chance chooses."""
from pathlib import Path

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.promise import Promise
from harness.seeds import Story, every_seed
from harness.shims import Shim
from harness.waiting import wait_until

NAME = "run1/step_{}/model.safetensors"
PLACES = ["/tmp/", "/chunks/", "/shardlists", "/manifests", "/refs/"]


class FailingDisk:
    """Of one worker; sound until a rule is set."""

    def __init__(self, cluster: Cluster, rank: int, shim: Shim, story: Story):
        self.cluster, self.rank, self.story = cluster, rank, story
        self.rules = cluster.folder / f"rules_{rank}"
        cluster.worker_prefixes[rank] = shim.prefix(cluster.data(rank), rules=self.rules)

    def fail(self, call: str, part: str = "*", skip: int = 0, times: int = 1) -> None:
        self.story.tell(f"rank {self.rank}: {call} number {skip + 1} … {skip + times} of {part} fails")
        scratch = self.rules.with_suffix(".new")
        scratch.write_text(f"{call} {skip} {times} {part}\n")
        scratch.rename(self.rules)

    def mend(self) -> None:
        self.rules.unlink(missing_ok=True)

    def failures(self) -> list[str]:
        log = Path(f"{self.rules}.log")
        return log.read_text().splitlines() if log.exists() else []


def start(make_cluster, make_shim, story: Story, **options: object) -> tuple[Cluster, Promise, FailingDisk]:
    cluster = make_cluster(start=False, **options)
    disk = FailingDisk(cluster, story.choice(cluster.ranks), make_shim("io_error"), story)
    cluster.start()
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(8, seed=1))
    return cluster, promise, disk


@every_seed(1)
@pytest.mark.parametrize("part", PLACES)
def test_after_a_failed_sync_nothing_is_trusted(make_cluster, make_shim, part: str, seed: int) -> None:
    """The worker ends, the store goes on without it, and started again it serves what its disk has."""
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, make_shim, story)
    worker = cluster.workers[disk.rank]
    worker.may_end = True
    disk.fail("sync", part, skip=story.randrange(2))
    for step in range(3):
        promise.must_store(NAME.format(1), model(16, seed=seed * 10 + step))
        if disk.failures():
            break
    story.tell(f"failed: {disk.failures()}")
    assert disk.failures(), "no sync failed"
    wait_until(lambda: not worker.is_running(), "the worker has ended")
    promise.check()
    disk.mend()
    cluster.start_worker(disk.rank)
    promise.wait_safe()
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


@every_seed(2)
def test_writes_that_fail_in_a_store(make_cluster, make_shim, seed: int) -> None:
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, make_shim, story)
    disk.fail("write", skip=story.randrange(4), times=story.choice([1, 3, 1_000_000]))
    promise.must_store(NAME.format(1), model(24, seed=seed + 10))
    story.tell(f"{len(disk.failures())} writes failed")
    assert disk.failures()
    promise.check()
    disk.mend()
    promise.wait_safe()
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


@every_seed(2)
def test_chunks_that_cannot_be_read_are_mended(make_cluster, make_shim, seed: int) -> None:
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, make_shim, story)
    disk.fail("read", "/chunks/", skip=story.randrange(3), times=story.choice([1, 2, 8]))
    promise.check()
    cluster.run("verify")
    assert disk.failures()
    disk.mend()
    promise.wait_safe()
    found = cluster.run("verify")
    assert found.returncode == 0, found.stdout
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


@every_seed(1)
def test_anything_that_cannot_be_read_at_the_start(make_cluster, make_shim, seed: int) -> None:
    """Also where a worker is lost beside it, what it can read is served; the rest is made again."""
    story = Story(seed)
    cluster, promise, disk = start(make_cluster, make_shim, story)
    cluster.workers[disk.rank].kill()
    disk.fail("read", story.choice(["/refs/", "/shardlists/", "/manifests/"]), times=story.choice([1, 4, 1_000_000]))
    cluster.start_worker(disk.rank)
    promise.check()
    cluster.run("verify")
    story.tell(f"{len(disk.failures())} reads failed")
    assert disk.failures()
    disk.mend()
    promise.wait_safe()
    cluster.workers[disk.rank % 4 + 1].kill()
    promise.check()


def test_an_identity_that_cannot_be_read_is_said_and_changes_nothing(make_cluster, make_shim) -> None:
    story = Story(1)
    cluster, promise, disk = start(make_cluster, make_shim, story)
    cluster.workers[disk.rank].kill()
    before = cluster.snapshot()
    disk.fail("read", "identity.json", times=1000)
    worker = cluster.start_worker(disk.rank, wait=False)
    worker.may_end = True
    assert worker.popen.wait(20) == 1
    assert "cannot read the identity" in worker.text() and "input/output error" in worker.text()
    assert cluster.snapshot() == before
    disk.mend()
    cluster.start_worker(disk.rank)
    promise.wait_safe()
    promise.check()
