"""Clocks that jump by a year, ahead and back, while the cluster runs: nothing young is swept, generations stay in
their order, and what is due is still done."""
import time

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.http import http
from harness.jumping_clock import YEAR, JumpingClock
from harness.promise import Promise
from harness.seeds import Story, every_seed
from harness.waiting import wait_until

NAME = "run1/step_{}/model.safetensors"
BOTH_WAYS = pytest.mark.parametrize("years", [1, -1], ids=["ahead", "back"])


def start(make_cluster, make_shim, story: Story, whose: list[int | str], **options: object
          ) -> tuple[Cluster, Promise, JumpingClock]:
    """One clock for all of `whose`: ranks, and "coordinator"."""
    cluster: Cluster = make_cluster(start=False, proxied=True, **options)
    clock = JumpingClock(make_shim("clock"), cluster.folder / "clock")
    for each in whose:
        if each == "coordinator":
            cluster.prefix = clock.prefix()
        else:
            cluster.worker_prefixes[each] = clock.prefix()
    cluster.start()
    story.tell(f"the clock of {whose} will jump")
    return cluster, Promise(cluster, story), clock


def collect(cluster: Cluster, rank: int) -> dict:
    answer = http.post(f"{cluster.worker_url(rank)}/gc", timeout=60)
    answer.raise_for_status()
    return answer.json()


def health(cluster: Cluster, rank: int) -> dict:
    return http.get(f"{cluster.worker_url(rank)}/health", timeout=10).json()


def chunk_bytes(cluster: Cluster, rank: int) -> int:
    total = 0
    for file in cluster.chunk_files(rank).values():
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # collected just now
            continue
    return total


@BOTH_WAYS
def test_the_shim_moves_the_clock_of_a_worker(make_cluster, make_shim, years: int) -> None:
    cluster, _, clock = start(make_cluster, make_shim, Story(1), [2])
    clock.jump(years * YEAR)
    assert abs(health(cluster, 2)["clock_ms"] / 1000 - time.time() - years * YEAR) < 60
    assert abs(health(cluster, 1)["clock_ms"] / 1000 - time.time()) < 60


@BOTH_WAYS
@every_seed(1)
def test_the_newest_content_stays_the_newest(make_cluster, make_shim, years: int, seed: int) -> None:
    """There and back again between stores, of the coordinator and of a worker."""
    story = Story(seed)
    rank = story.randrange(1, 5)
    cluster, promise, clock = start(make_cluster, make_shim, story, ["coordinator", rank])
    for step in range(6):
        path = promise.must_store(NAME.format(1), model(2, seed=step))
        promise.check()
        story.tell(f"generation {max(generation for _, generation, _ in cluster.refs(path))}")
        if step % 2:
            clock.jump(-years * YEAR)
        else:
            clock.jump(years * YEAR)
        if story.random() < 0.5:
            cluster.workers[rank].kill()
            cluster.start_worker(rank)
        if story.random() < 0.5:
            cluster.coordinator.kill()
            cluster.start_coordinator()
        promise.check()
    promise.wait_safe()


@BOTH_WAYS
@every_seed(1)
def test_a_store_that_runs_is_not_collected(make_cluster, make_shim, years: int, seed: int) -> None:
    """With refs of its copies there and its manifest not yet, and every file older than any grace period."""
    story = Story(seed)
    rank = story.randrange(1, 5)
    cluster, promise, clock = start(make_cluster, make_shim, story, [rank], collect_after="1s")
    path, old, new = cluster.ckpt_root / NAME.format(1), model(8, seed=1), model(12, seed=2)
    promise.must_store(NAME.format(1), old)
    wait_until(lambda: collect(cluster, rank) is not None, "the worker collects")
    time.sleep(1.5)  # the grace period since the worker's start: not a condition that shows
    rule = cluster.proxies[rank].hold(story.choice([r"^PUT /refs/[^?]*/\d", r"^PUT /manifests/", r"^POST /sync"]))
    promise.write(NAME.format(1), new)
    promise.begin(path, new)
    with cluster.stream("store-shard", path) as lines:
        rule.wait_reached()
        clock.jump(years * YEAR)
        story.tell(f"collected: {collect(cluster, rank)}")
        rule.release()
        assert promise.end(path, new, list(lines))
    promise.check()
    story.tell(f"collected: {collect(cluster, rank)}")
    assert not cluster.run("verify").returncode
    for other in (rank % 4 + 1, (rank + 2) % 4 + 1):
        cluster.workers[other].kill()
        promise.check()
        cluster.start_worker(other)
    promise.wait_safe()


@BOTH_WAYS
def test_space_comes_back_whatever_the_clock_did(make_cluster, make_shim, years: int) -> None:
    story = Story(1)
    cluster, promise, clock = start(make_cluster, make_shim, story, [1, 2, 3, 4, "coordinator"], collect_after="2s")
    for step in range(3):
        promise.must_store(NAME.format(1), model(12, seed=step))
    before = chunk_bytes(cluster, 2)
    clock.jump(years * YEAR)
    promise.must_store(NAME.format(1), model(1, seed=9))
    wait_until(lambda: chunk_bytes(cluster, 2) < before / 3, "the space of older generations is back", 60, period=0.5)
    promise.check()
    promise.wait_safe()


@BOTH_WAYS
def test_a_scrub_goes_on_and_a_repair_is_no_earlier(make_cluster, make_shim, years: int) -> None:
    """`repair_after` and `scrub_every` are periods, not dates."""
    story = Story(1)
    cluster, promise, clock = start(make_cluster, make_shim, story, [1, 2, 3, 4, "coordinator"], scrub_every="4s",
                                    repair_after="1h")
    path = promise.must_store(NAME.format(1), model(4, seed=1))
    before = sorted(cluster.refs(path))
    cluster.workers[3].kill()
    clock.jump(years * YEAR)
    rows = {row["rank"]: row for row in cluster.get("/workers")["workers"]}
    assert [rank for rank, row in rows.items() if row["alive"]] == [1, 2, 4]
    file = max(cluster.chunk_files(1).values(), key=lambda each: each.stat().st_size)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    wait_until(lambda: list(cluster.data(1).glob("quarantine/*")), "the damage is found", 60, period=0.2)
    promise.check()
    assert sorted(cluster.refs(path)) == before, "copies of a worker that is away for seconds were made elsewhere"
    cluster.start_worker(3)
    promise.wait_safe()
