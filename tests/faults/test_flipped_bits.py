"""Flipped bits, on the disks and on the wire: noticed, mended, and every gather gives the exact bytes."""
from pathlib import Path

import pytest

from harness.checkpoints import model
from harness.cluster import Cluster
from harness.live_files import live_files
from harness.promise import Promise
from harness.seeds import Story, every_seed
from harness.waiting import wait_until

NAME = "run1/step_{}/model.safetensors"
KINDS = {"chunks": "chunks/*/*", "shard_lists": "shardlists/*", "manifests": "manifests/*", "refs": "refs/*/*/*.json"}


def flip(file: Path, story: Story) -> None:
    content = bytearray(file.read_bytes())
    at = story.randrange(len(content))
    content[at] ^= 1 << story.randrange(8)
    file.write_bytes(content)  # in place, as a disk would
    story.tell(f"a bit of byte {at} of {len(content)} flipped: {file.parent.parent.name}/{file.parent.name}/{file.name[:12]}")


def damaged(cluster: Cluster) -> bool:
    return cluster.run("verify").returncode != 0


@every_seed(1)
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_on_a_disk(make_cluster, kind: str, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster()
    promise = Promise(cluster, story)
    for step in range(2):
        promise.must_store(NAME.format(step), model(story.uniform(2, 8), seed=seed * 10 + step))
    rank = story.choice(cluster.ranks)
    files = sorted(live_files(cluster.data(rank), KINDS[kind]))
    for file in story.sample(files, min(len(files), 3)):
        flip(file, story)
    if story.random() < 0.5:
        promise.check()  # a gather may meet it first
    cluster.run("verify")
    assert list(cluster.data(rank).glob("quarantine/*")), "it has not been noticed"
    promise.check()
    promise.wait_safe()
    cluster.workers[rank].kill()
    promise.check()
    cluster.start_worker(rank)
    promise.wait_safe()
    # Two sound headers are safe; that of this worker is put again, too.
    wait_until(lambda: not damaged(cluster), "nothing is damaged any more", 60)
    # What was mended is as good as the other copies.
    for other in (rank % 4 + 1, (rank + 2) % 4 + 1):
        cluster.workers[other].kill()
        promise.check()
        cluster.start_worker(other)


@every_seed(2)
def test_any_files_flipped_while_a_worker_is_off(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster()
    promise = Promise(cluster, story)
    for step in range(2):
        promise.must_store(NAME.format(step), model(story.uniform(2, 8), seed=seed * 10 + step))
    rank = story.choice(cluster.ranks)
    cluster.workers[rank].kill()
    for pattern in KINDS.values():
        for file in story.sample(sorted(live_files(cluster.data(rank), pattern)), 2):
            flip(file, story)
    cluster.start_worker(rank)
    promise.check()
    cluster.run("verify")
    promise.wait_safe()
    assert not damaged(cluster)
    cluster.workers[rank % 4 + 1].kill()
    promise.check()


STORED = [r"^PUT /chunks/", r"^POST /chunks/missing", r"^POST /pull", r"^PUT /shardlists/", r"^PUT /manifests/", r"^PUT /refs/"]
READ = [r"^GET /chunks/", r"^GET /shardlists/", r"^GET /manifests/", r"^GET /refs"]


def flip_on_the_wire(cluster: Cluster, story: Story, count: int) -> list:
    rules = []
    for _ in range(count):
        rank, at, skip = story.choice(cluster.ranks), story.randrange(4_000_000), story.randrange(3)
        if story.random() < 0.5:
            pattern = story.choice(STORED)
            rules.append(cluster.proxies[rank].flip(pattern, at, skip))
        else:
            pattern = story.choice(STORED + READ)
            rules.append(cluster.proxies[rank].flip_answer(pattern, at, skip))
        story.tell(f"to flip a bit at {at}: rank {rank}, {pattern} number {skip + 1}, "
                   f"{'request' if rules[-1].flip_at is not None else 'answer'}")
    return rules


@every_seed(3)
def test_flipped_on_the_wire_in_stores_and_gathers(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster(proxied=True)
    promise = Promise(cluster, story)
    rules = []
    for step in range(3):
        rules += flip_on_the_wire(cluster, story, 8)
        promise.store(NAME.format(story.randrange(2)), model(story.uniform(2, 12), seed=seed * 10 + step))
        promise.check()
    story.tell(f"{sum(rule.flips_count for rule in rules)} bits were flipped")
    for rule in rules:
        rule.end()
    promise.wait_safe()
    promise.check()
    assert not damaged(cluster)


@every_seed(1)
def test_flipped_on_the_wire_in_a_repair(make_cluster, seed: int) -> None:
    story = Story(seed)
    cluster = make_cluster(proxied=True)
    promise = Promise(cluster, story)
    promise.must_store(NAME.format(1), model(30, seed=seed))
    target = story.choice(cluster.ranks)
    cluster.lose_disk(target)
    rules = [rule for rank in cluster.ranks for rule in (
        cluster.proxies[rank].flip_answer(r"^GET /(chunks|shardlists|manifests)/", story.randrange(4_000_000), skip=0, times=2),
        cluster.proxies[rank].flip(r"^PUT /(shardlists|manifests)/", story.randrange(4_000_000)))]
    cluster.start_worker(target)
    promise.wait_safe()
    flips = sum(rule.flips_count for rule in rules)
    story.tell(f"{flips} bits were flipped")
    assert flips
    for rule in rules:
        rule.end()
    for other in (target % 4 + 1, (target + 2) % 4 + 1):
        cluster.workers[other].kill()
        promise.check()
        cluster.start_worker(other)
    assert not damaged(cluster)
